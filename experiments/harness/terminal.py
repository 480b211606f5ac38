"""What a training run says on the terminal at its end."""

from collections.abc import Callable
from typing import Any

from experiments.harness import flags, memory, workdir
from experiments.harness.preemption import TERMINATED, Terminated
from experiments.harness.workdir import stored_results

# Flags, and the folders that they write.
_WRITE_WHILE_TRAINING = "tensorboard", "profile"


def main(config: Any, run: Callable[[Any], dict[str, Any]]) -> None:
    """Runs, and prints the table and where the report is."""
    from cnnlab.reporting import own_tables, tables

    memory.keep_freed()
    finished_before = stored_results(config) is not None
    try:
        results = run(config)
    except Terminated as stopped:
        again = "the same command" + (" without --overwrite" * config.overwrite)
        flags.end(f"{stopped}; {again} goes on", TERMINATED)
    if finished_before:
        print(
            f"finished on {results['environment']['date']}, on images "
            f"{results['dataset']['fingerprint'][:8]}; --overwrite runs it again"
        )
        for flag in _unheeded(config):
            print(f"--{flag} writes nothing of a run that is finished")
        print()
    print(tables.plain(results))
    if results.get("tables"):
        print(f"\n{own_tables.plain(results)}")
    print(f"\nreport: {workdir.run_path(config) / 'report.html'}")


def _unheeded(config: Any) -> list[str]:
    """The flags that ask a finished run for what it did not write."""
    path = workdir.run_path(config)
    return [
        flag
        for flag in _WRITE_WHILE_TRAINING
        if getattr(config, flag, None) and not (path / flag).exists()
    ]
