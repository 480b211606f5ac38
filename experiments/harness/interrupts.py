"""Ctrl-C that ends the process within seconds, even inside a long compiled call.

Python delivers Ctrl-C between two bytecodes of the main thread. While that thread sits
in C++, nothing happens; so a second thread hears the signal too, and ends the process
if the first has not unwound in time. And a compilation that goes on in the background
holds up the interpreter's own end; so, once unwound, the process ends without it.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

_INTERRUPTED = 130  # The shell's 128 + SIGINT.
_SHOW_CURSOR = b"\x1b[?25h\n"


@contextlib.contextmanager
def prompt_interrupt(
    grace_seconds: float = 2.5, line: str = "interrupted"
) -> Iterator[None]:
    """Makes Ctrl-C in the block print `line` on stderr and exit with code 130.

    The block has `grace_seconds` to unwind; then the process ends where it stands.
    Either way nothing outside the block runs any more, exit handlers included. A block
    that handles Ctrl-C and completes lives on. Outside the main thread, which alone
    gets signals, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    unwound = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    watchdog = threading.Thread(
        target=_watch, args=(reader, grace_seconds, line, unwound), daemon=True
    )
    watchdog.start()
    previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    except KeyboardInterrupt:
        # A second Ctrl-C must not interrupt the end that the first one asked for.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        unwound.set()
        with contextlib.suppress(OSError):
            print(line, file=sys.stderr, flush=True)
            sys.stdout.flush()
        os._exit(_INTERRUPTED)
    finally:
        unwound.set()
        signal.set_wakeup_fd(previous)
        os.close(writer)


def _watch(
    reader: int, grace_seconds: float, line: str, unwound: threading.Event
) -> None:
    with open(reader, "rb", buffering=0) as signals:
        number = signals.read(1)
        while number not in (b"", bytes([signal.SIGINT])):
            number = signals.read(1)
    if not number or unwound.wait(grace_seconds):
        return
    # Straight to the descriptor: the main thread may hold sys.stderr's lock.
    os.write(2, (_SHOW_CURSOR if os.isatty(2) else b"") + line.encode() + b"\n")
    os._exit(_INTERRUPTED)
