"""A trace of some steps, for TensorBoard's or Perfetto's profiler."""

import re
from pathlib import Path

from cnnlab.errors import UserError
from experiments.harness.storage import storing


def steps_of(text: str | None) -> tuple[int, int] | None:
    """The first step of a trace, and the one it ends before, from `START:STOP`.

    Raises:
        UserError: no such pair.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if match and int(match[1]) < int(match[2]):
        return int(match[1]), int(match[2])
    raise UserError(
        "profile", f"'{text}' is not START:STOP, two steps of which the first is less"
    )


def refuse_beyond(text: str | None, steps: int) -> None:
    """Raises a UserError where a trace begins after so many steps, and so never."""
    traced = steps_of(text)
    if traced and traced[0] >= steps:
        raise UserError("profile", f"'{text}' begins after the run's {steps:,} steps")


class Profile:
    """Traces the steps from one to another; none where `steps` is None."""

    def __init__(self, folder: Path, steps: tuple[int, int] | None):
        self._folder = folder
        self._steps = steps
        self._running = False
        self._begun = False

    def steps_until_change(self, step: int, count: int) -> int:
        """`count`, or as many steps as there are until the trace begins or ends."""
        for change in self._steps or ():
            if step < change < step + count:
                return change - step
        return count

    def missed(self, step: int, finished: bool) -> str | None:
        """That a run that goes on from `step` has no trace, in a line; None if it has.

        Of a trace that had begun before, what remains is written.

        Args:
            finished: whether no step remains.
        """
        if self._steps is None or step < self._steps[1] and not finished:
            return None
        return (
            f"{self._flag} writes nothing: the run goes on from step {step:,}; "
            "--overwrite runs it again"
        )

    def unreached(self, step: int) -> str | None:
        """That a run that ended with `step` has no trace, in a line; None if it has."""
        if self._steps is None or self._begun or step > self._steps[0]:
            return None
        return f"{self._flag} wrote nothing: the run ended after step {step:,}"

    def before(self, step: int) -> None:
        """Begins the trace where the step after `step` others is to be in it."""
        import jax

        if self._steps is None or self._begun:
            return
        start, stop = self._steps
        if start <= step < stop:
            with storing(self._folder):
                jax.profiler.start_trace(str(self._folder))
            self._running = self._begun = True

    def after(self, step: int) -> None:
        """Ends the trace where the step after `step` others is not to be in it."""
        if self._steps is not None and step >= self._steps[1]:
            self.close()

    def close(self) -> None:
        """Ends a trace that still runs."""
        import jax

        if self._running:
            self._running = False
            with storing(self._folder):
                jax.profiler.stop_trace()

    @property
    def _flag(self) -> str:
        start, stop = self._steps
        return f"--profile={start}:{stop}"
