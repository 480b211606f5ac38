"""The directory of one run: who may write it, what it keeps, how it goes on.

Whatever a run writes appears whole or not at all, so that a process may end at any
moment and the same command goes on. A configuration needs the fields `workdir` (None
for the default place) and `overwrite`, and the class attribute `experiment`.
"""

import fcntl
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cnnlab.run_layout import arm_directory, checkpoints
from experiments.harness.environment import environment as current_environment
from experiments.harness.flags import as_json, command_line, configuration_hash
from experiments.harness.ownership import lock, refuse_foreign, refuse_other, remove_run
from experiments.harness.storage import (
    append_line,
    decode_object,
    encode,
    flush,
    make_directory,
    read_object,
    storing,
    write_whole,
)


def run_path(config: Any) -> Path:
    """Where the run of `config` lives; by default named by the configuration's hash."""
    if config.workdir is not None:
        return Path(os.path.expanduser(config.workdir))
    return Path("runs", config.experiment, configuration_hash(config)[:8])


def stored_results(config: Any) -> dict[str, Any] | None:
    """The results of the finished run of `config`; None where it has yet to run."""
    if config.overwrite:
        return None
    results = read_object(run_path(config) / "results.json")
    if results is None or results.get("status") != "complete":
        return None
    same = results.get("config_hash") == configuration_hash(config)
    return results if same else None


class WorkDirectory:
    """The locked directory of one run; a context manager that lets the lock go.

    Numbers that are not finite are stored as null, which is all that JSON has for them.
    """

    def __init__(self, path: Path, lock: io.TextIOBase):
        self.path = path
        self._lock = lock

    @classmethod
    def open(
        cls,
        config: Any,
        *,
        environment: Callable[[], Mapping[str, Any]] = current_environment,
    ) -> "WorkDirectory":
        """The directory of `config`, locked, with its `config.json` in place.

        An unfinished run of the same configuration is kept, to go on from. Until every
        check has passed, nothing is removed.

        Raises:
          UserError: the directory cannot be written, is in use, holds another
            configuration's run and `config.overwrite` is not set, or holds what no
            run wrote.
        """
        path = run_path(config)
        make_directory(path)
        refuse_foreign(path)
        held = lock(path)
        try:
            if config.overwrite:
                remove_run(path)
            else:
                refuse_other(path, config)
            directory = cls(path, held)
            if config.overwrite or not directory.description():
                directory._write_json("config.json", _description(config, environment))
            return directory
        except BaseException:
            held.close()
            raise

    def close(self) -> None:
        # Unlocked by name, because a forked child would keep the lock alive.
        if not self._lock.closed:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._lock.close()

    def __enter__(self) -> "WorkDirectory":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def checkpoints(self, arm: str, seed: int) -> Path:
        """The folder of a net's checkpoints, made where it is missing."""
        path = checkpoints(self.path, arm, seed)
        make_directory(path)
        return path

    def description(self) -> dict[str, Any]:
        """The content of `config.json`."""
        return read_object(self.path / "config.json") or {}

    def describe(self, **facts: Any) -> None:
        """Adds to `config.json` what a run settles once, when it begins."""
        self._write_json("config.json", {**self.description(), **facts})

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Add one line to `metrics.jsonl`."""
        append_line(self.path / "metrics.jsonl", encode(line))

    def flush_metrics(self) -> None:
        """Returns when every line of `metrics.jsonl` is on the disk."""
        flush(self.path / "metrics.jsonl")

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`, without one that was cut short."""
        try:
            stored = (self.path / "metrics.jsonl").read_bytes()
        except FileNotFoundError:
            return []
        lines = (decode_object(line) for line in stored.splitlines())
        return [line for line in lines if line is not None]

    def keep_metrics(self, predicate: Callable[[dict[str, Any]], bool]) -> None:
        """Drop every line of `metrics.jsonl` for which `predicate` is false."""
        kept = [encode(line) + b"\n" for line in self.metrics() if predicate(line)]
        self._write_bytes("metrics.jsonl", b"".join(kept))

    def write_record(self, name: str, record: Mapping[str, Any]) -> None:
        """Keep what a finished part of the run has found."""
        self._write_json(f"records/{arm_directory(name)}.json", record)

    def read_record(self, name: str) -> dict[str, Any] | None:
        """The record `name`; None where there is none that can be read."""
        return read_object(self.path / f"records/{arm_directory(name)}.json")

    def drop_record(self, name: str) -> None:
        """Forget the record `name`, where there is one."""
        path = self.path / f"records/{arm_directory(name)}.json"
        with storing(path):
            path.unlink(missing_ok=True)

    def save_predictions(
        self,
        arm: str,
        seed: int,
        *,
        logits: Any,
        labels: Any,
        index: Any,
        dataset_fingerprint: str,
    ) -> None:
        """Keep one net's logits (float32) on the examples `index` of a data set."""
        import numpy as np

        stored = io.BytesIO()
        np.savez(
            stored,
            logits=np.asarray(logits, np.float32),
            labels=np.asarray(labels),
            index=np.asarray(index),
            dataset_fingerprint=np.asarray(dataset_fingerprint),
        )
        self._write_bytes(_predictions(arm, seed), stored.getvalue())

    def write_results(self, results: Mapping[str, Any]) -> None:
        self._write_json("results.json", results)

    def _write_json(self, relative: str, content: Mapping[str, Any]) -> None:
        self._write_bytes(relative, encode(content, indent=1) + b"\n")

    def _write_bytes(self, relative: str, content: bytes) -> None:
        write_whole(self.path / relative, content)


def _predictions(arm: str, seed: int) -> str:
    return f"predictions/{arm_directory(arm)}/seed{seed}.npz"


def _description(
    config: Any, environment: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "experiment": config.experiment,
        "config_hash": configuration_hash(config),
        "config": as_json(config),
        "command": command_line(config),
        "environment": environment(),
    }
