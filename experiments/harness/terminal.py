"""What a run says on the terminal at its end."""

from collections.abc import Callable
from typing import Any

from experiments.harness import flags, memory, workdir
from experiments.harness.preemption import TERMINATED, Terminated

# Flags, and the folders that they write.
_WRITE_WHILE_TRAINING = "tensorboard", "profile"


def main(config: Any, run: Callable[[Any], dict[str, Any]]) -> None:
    """Runs what trains, and prints the table and where the report is."""
    memory.keep_freed()
    tell(config, run, _plain)


def tell(
    config: Any,
    run: Callable[[Any], dict[str, Any]],
    plain: Callable[[dict[str, Any]], str],
) -> None:
    """Runs, and prints the results in plain text and where the report is."""
    finished_before = workdir.stored_results(config) is not None
    try:
        results = run(config)
    except Terminated as stopped:
        again = "the same command" + (" without --overwrite" * config.overwrite)
        flags.end(f"{stopped}; {again} goes on", TERMINATED)
    if finished_before:
        images = results.get("dataset")
        on = f", on images {images['fingerprint'][:8]}" if images else ""
        date = results["environment"]["date"]
        print(f"finished on {date}{on}; --overwrite runs it again")
        for flag in _unheeded(config):
            print(f"--{flag} writes nothing of a run that is finished")
        print()
    print(plain(results))
    print(f"\nreport: {workdir.run_path(config) / 'report.html'}")


def _plain(results: dict[str, Any]) -> str:
    from cnnlab.reporting import own_tables, tables

    parts = [tables.plain(results)]
    if results.get("tables"):
        parts.append(own_tables.plain(results))
    return "\n\n".join(parts)


def _unheeded(config: Any) -> list[str]:
    """The flags that ask a finished run for what it did not write."""
    path = workdir.run_path(config)
    return [
        flag
        for flag in _WRITE_WHILE_TRAINING
        if getattr(config, flag, None) and not (path / flag).exists()
    ]
