"""What the experiments' processes do with memory that JAX has freed."""

import ctypes
import os

# Of glibc's mallopt. The thresholds are as large as the call takes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGE = 2**31 - 1
_OF_THE_USER = "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"


def keep_freed() -> bool:
    """Lets this process keep what it frees; returns whether it was asked to.

    JAX allocates a training step's temporary maps in one piece, anew at every step on a
    CPU. By default glibc returns a piece of more than 32 MiB to the system, and the
    next step pays for a page fault every 4 KiB: up to a third of a small network's
    time. Whoever sets glibc's own variables is left to them.
    """
    if any(name in os.environ for name in _OF_THE_USER):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        # Not glibc.
        return False
    # Some versions refuse so large a threshold for maps, and then all stays as it was.
    return all(mallopt(name, _LARGE) for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
