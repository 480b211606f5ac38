"""What a run's training takes, over all processes that make it."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

# Progress is told, and SIGTERM and a loss that is not finite are seen, this often.
SECONDS_PER_CALL = 0.25


class RunClock:
    """Times a run, without what compiling its steps takes.

    Args:
        facts: of the processes before, as `facts` gave them.

    Attributes:
        seconds: of all processes, up to the last `facts`.
        step_seconds: the median of a step of all seeds in the process that made the
            last; None before the first.
    """

    def __init__(self, facts: Mapping[str, Any]):
        self.seconds: float = facts.get("seconds", 0.0)
        self.step_seconds: float | None = facts.get("step_seconds")
        self._paces: list[float] = []
        self._began = time.perf_counter() - self.seconds

    def begin(self) -> None:
        """Goes on from now: what came since the clock was made does not count."""
        self._began = time.perf_counter() - self.seconds

    def note(self, pace: float) -> None:
        """Takes the seconds of each step of a call."""
        self._paces.append(pace)

    def steps_per_call(self, count: int) -> int:
        """How many steps to make next, after a call of `count`: at most twice those."""
        return max(1, min(2 * count, round(SECONDS_PER_CALL / self._paces[-1])))

    def facts(self) -> dict[str, Any]:
        """What the next process has to know, as JSON."""
        self.seconds = time.perf_counter() - self._began
        # The first call of a process pages memory in.
        paces = self._paces[1:] or self._paces
        if paces:
            self.step_seconds = float(np.median(paces))
        return {"seconds": self.seconds, "step_seconds": self.step_seconds}
