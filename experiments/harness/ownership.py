"""Whose a work directory is: its lock, the runs it may not take, what it may remove."""

import fcntl
import io
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError
from experiments.harness.flags import as_json, configuration_hash
from experiments.harness.storage import PARTIAL, read_object, storing

# In the order of removal: first what says that the run is finished. `config.json`,
# which says whose directory this is, stays until the next one replaces it.
_WRITTEN = (
    "results.json",
    "metrics.jsonl",
    "report.html",
    "records",
    "predictions",
    "checkpoints",
    "figures",
    "compile_cache",
    "tensorboard",
    "profile",
)
_BEFORE_CONFIG = {"lock", "config.json" + PARTIAL}


def refuse_foreign(path: Path) -> None:
    """Raises a `UserError` where `path` holds what no run wrote."""
    with storing(path):
        names = set(os.listdir(path)) - _BEFORE_CONFIG
        if not names:
            return
        stored = b"{}"
        if "config.json" in names:
            stored = (path / "config.json").read_bytes()
    try:
        content = json.loads(stored)
    except ValueError:
        # Ours when damaged: no run leaves a config.json without a lock.
        content = (
            {"config": {}, "config_hash": ""} if "lock" in os.listdir(path) else {}
        )
    ours = isinstance(content, dict) and isinstance(content.get("config"), dict)
    if not ours or "config_hash" not in content:
        raise UserError(
            "workdir",
            f"'{path}' holds files that are not a run's; name a new or empty directory",
        )


def refuse_other(path: Path, config: Any) -> None:
    """Raises a `UserError` where `path` holds the run of another configuration."""
    if not (path / "config.json").exists():
        return
    stored = read_object(path / "config.json")
    if stored is None:
        found = "a config.json that cannot be read"
    elif stored["config_hash"] == configuration_hash(config):
        return
    else:
        found = f"another configuration's run ({_difference(stored, config)})"
    raise UserError("workdir", f"'{path}' holds {found}; --overwrite replaces it")


def _difference(stored: Mapping[str, Any], config: Any) -> str:
    here = {"experiment": config.experiment, **as_json(config, identity_only=True)}
    there = {"experiment": stored.get("experiment"), **stored.get("config", {})}
    for name, value in here.items():
        shown = json.dumps(value)
        if name not in there:
            return f"{name} is not set there and {shown} here"
        if there[name] != value:
            return f"{name} is {json.dumps(there[name])} there and {shown} here"
    return "written by another version of this experiment"


def lock(path: Path) -> io.TextIOBase:
    """The open file whose lock is held until it is closed or this process ends.

    Raises:
      UserError: another process holds it.
    """
    with storing(path / "lock"):
        file = open(path / "lock", "a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            return file
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise UserError(
                "workdir", f"'{path}' is in use by another process (pid {holder})"
            ) from None
        except BaseException:
            file.close()
            raise


def remove_run(path: Path) -> None:
    """Remove what a run wrote, but for `config.json`, and nothing else."""
    for name in _WRITTEN:
        item = path / name
        with storing(item):
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            else:
                item.unlink(missing_ok=True)
