"""What a run was made with."""

import contextlib
import datetime
import importlib.metadata
import os
import platform
import re
from typing import Any

from experiments.harness import numerics

STORES = "orbax-checkpoint", "tensorstore"
"""What checkpoints are written and read by; no number depends on it."""

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "cnnlab", *STORES)


def environment() -> dict[str, Any]:
    """Versions, devices, threads, settings, date: for `config.json`, `results.json`.

    `date` is in UTC; `cpu` names the processor as far as the system tells;
    `cpu_threads` counts those this process may use; a package that is not installed has
    the version None.
    """
    import jax

    devices = jax.devices()
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        **{package: _version(package) for package in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "platform": devices[0].platform,
        "device_kind": devices[0].device_kind,
        "device_count": len(devices),
        "cpu": _cpu(),
        "cpu_threads": _cpu_threads(),
        "xla_flags": os.environ.get("XLA_FLAGS", "").strip(),
        **numerics.settings(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    # JAX calls every processor "cpu", and XLA makes other programs for other ones.
    found = None
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        found = re.search(r"^model name\s*:\s*(.+)$", file.read(), re.MULTILINE)
    name = found[1].strip() if found else platform.processor()
    return f"{platform.machine()} {name}".strip()


def _cpu_threads() -> int:
    # What XLA heeds before it counts.
    given = os.environ.get("NPROC", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
