"""SIGTERM, by which a scheduler takes a machine back: heard, and answered in time."""

import contextlib
import signal
import threading
from collections.abc import Iterator

TERMINATED = 143
"""The exit code of a run that was terminated: the shell's 128 + SIGTERM."""


class Terminated(Exception):
    """A run stopped because it was asked to, with everything stored."""


@contextlib.contextmanager
def termination() -> Iterator[threading.Event]:
    """An event that is set once SIGTERM has come, which does nothing else any more.

    Outside of the main thread, which alone gets signals, it never is.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    previous = signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, previous)
