import signal
import subprocess
import sys
import threading

import pytest

from experiments.harness.interrupts import prompt_interrupt

PATIENCE = 30
"""Seconds after which a child that ignores Ctrl-C fails the test."""

LOOPS = """
    try:
        print("ready", flush=True)
        while True:
            pass
    finally:
        print("unwound", flush=True)
"""

# A mutex locked twice: the second call never returns to Python, whatever the signal,
# and holds no interpreter lock, as a long compilation does.
MUTEX = """
    import ctypes
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(256)
    libc.pthread_mutex_init(mutex, None)
    libc.pthread_mutex_lock(mutex)
"""

BLOCKS = f"""{MUTEX}
    threading.Timer(0.2, print, ("ready",), {{"flush": True}}).start()
    libc.pthread_mutex_lock(mutex)
"""

UNWINDS_BUT_A_THREAD_STAYS = """
    threading.Thread(target=threading.Event().wait).start()
    print("ready", flush=True)
    while True:
        pass
"""

UNWINDS_BUT_AN_EXIT_HANDLER_BLOCKS = f"""{MUTEX}
    import atexit
    atexit.register(libc.pthread_mutex_lock, mutex)
    print("ready", flush=True)
    while True:
        pass
"""


def interrupt(body):
    """The (exit code, stdout, stderr) of a child that gets Ctrl-C inside `body`."""
    program = (
        "import threading, time\n"
        "from experiments.harness.interrupts import prompt_interrupt\n"
        "with prompt_interrupt(0.3, 'stopped here'):" + body
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        out, error = child.communicate(timeout=PATIENCE)
    finally:
        child.kill()
        child.wait()
    return child.returncode, out, error


def test_python_code_unwinds():
    assert interrupt(LOOPS) == (130, "unwound\n", "stopped here\n")


@pytest.mark.parametrize(
    "body",
    [BLOCKS, UNWINDS_BUT_A_THREAD_STAYS, UNWINDS_BUT_AN_EXIT_HANDLER_BLOCKS],
    ids=["call", "thread", "exit handler"],
)
def test_what_does_not_unwind_is_ended(body):
    assert interrupt(body) == (130, "", "stopped here\n")


def test_a_block_that_handles_the_interrupt_lives_on():
    handled = """
    try:
        print("ready", flush=True)
        while True:
            pass
    except KeyboardInterrupt:
        pass
time.sleep(0.6)
print("alive")
"""
    assert interrupt(handled) == (0, "alive\n", "")


@pytest.mark.parametrize("failure", [None, ValueError])
def test_nothing_is_left_behind(failure):
    before = threading.active_count(), signal.getsignal(signal.SIGINT)
    try:
        with prompt_interrupt():
            if failure:
                raise failure
    except ValueError:
        pass
    for thread in threading.enumerate():
        if thread.daemon:
            thread.join(PATIENCE)
    assert (threading.active_count(), signal.getsignal(signal.SIGINT)) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_other_threads_run_the_block_as_it_is():
    caught = []

    def run():
        try:
            with prompt_interrupt():
                raise KeyboardInterrupt
        except BaseException as error:
            caught.append(type(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert caught == [KeyboardInterrupt]


def test_ctrl_c_ends_a_program_that_still_checks_its_flags():
    program = """
import dataclasses
from experiments.harness import flags
class Config:
    def validate(self):
        print("ready", flush=True)
        while True:
            pass
flags.main(dataclasses.dataclass(Config), print, usage="")
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=PATIENCE)
    finally:
        child.kill()
    assert (child.returncode, stderr) == (130, "interrupted\n")
