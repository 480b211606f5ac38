"""SIGTERM, by which a scheduler takes a machine back: heard, and answered in time."""

import contextlib
import signal
import threading
from collections.abc import Iterator

TERMINATED = 143
"""The exit code of a run that was terminated: the shell's 128 + SIGTERM."""


class Terminated(BaseException):
    """A run stopped because it was asked to, with everything stored.

    No `Exception`, as it comes wherever the main thread stands: what catches those, to
    tell what it could not read, is not to take it for one.
    """


class Termination:
    """Whether SIGTERM has come."""

    def __init__(self):
        self._asked = False
        self._at_once = False

    def is_set(self) -> bool:
        """Whether it has."""
        return self._asked

    def set(self) -> None:
        """Notes that it has.

        Raises:
            Terminated: inside of `at_once`.
        """
        self._asked = True
        if self._at_once:
            # Not again while that one is on its way.
            self._at_once = False
            raise Terminated("terminated")

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Within it `Terminated` is raised where the main thread stands.

        For what changes nothing, or can be done again.
        """
        self._at_once = True
        try:
            if self._asked:
                self.set()
            yield
        finally:
            self._at_once = False


@contextlib.contextmanager
def termination() -> Iterator[Termination]:
    """What SIGTERM sets within the block, where it does nothing else any more.

    Outside of the main thread, which alone gets signals, nothing does.
    """
    asked = Termination()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    previous = signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, previous)
