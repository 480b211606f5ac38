"""How long a command takes to its first training step, and what it compiles for it."""

import os
import time
from typing import Any

_IMPORTED = time.perf_counter()


def process_began() -> float:
    """When this process began, by `time.perf_counter`, as far as the system tells."""
    try:
        with open("/proc/self/stat") as file:
            # The name before, in brackets, may hold anything.
            ticks = int(file.read().rpartition(")")[2].split()[19])
        booted = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):
        # Not on Linux.
        return _IMPORTED
    age = booted - ticks / os.sysconf("SC_CLK_TCK")
    return min(_IMPORTED, time.perf_counter() - age)


class FirstStep:
    """The first step that a process makes, of whichever net.

    Args:
        began: when the command did, by `time.perf_counter`; None is now.

    Attributes:
        seconds: from then to the end of the first step; None before it.
        compiled: programs that were not kept of an earlier process, up to then; None
            before it.
    """

    def __init__(self, began: float | None = None):
        self._began = time.perf_counter() if began is None else began
        self._kept = _programs()
        self.seconds: float | None = None
        self.compiled: int | None = None

    def made(self) -> str | None:
        """Notes a step that has been made, and tells of it where it is the first."""
        if self.seconds is not None:
            return None
        self.seconds = time.perf_counter() - self._began
        self.compiled = _programs() - self._kept
        programs = "1 program" if self.compiled == 1 else f"{self.compiled} programs"
        return (
            f"the first step ended {self.seconds:.1f} s after the start, for which "
            f"{programs} had to be compiled"
        )

    def facts(self) -> dict[str, Any]:
        """What results.json says of it; None each where this process made no step."""
        return {
            "first_step_seconds": self.seconds,
            "programs_compiled": self.compiled,
        }


def _programs() -> int:
    """How many JAX keeps on the disk, where it was told to."""
    import jax

    folder = jax.config.jax_compilation_cache_dir
    if folder is None or not os.path.isdir(folder):
        return 0
    return sum(name.endswith("-cache") for name in os.listdir(folder))
