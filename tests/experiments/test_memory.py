"""Freed memory stays with the process, and is not taken anew page by page."""

import platform
import resource
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from experiments.harness import memory
kept = sys.argv[1] == "keep" and memory.keep_freed()
np.ones(2**23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**23)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 2**26 // resource.getpagesize()

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="is about glibc's malloc"
)


def _faults(how, **variables):
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how],
        env={"PATH": "", "PYTHONPATH": ".", "MPLBACKEND": "agg", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, count = done.stdout.split()
    return kept, int(count)


def test_memory_that_was_freed_is_used_again():
    kept, faults = _faults("keep")
    assert kept == "True" and faults < PAGES / 10
    # Otherwise the line above would prove nothing.
    assert _faults("leave")[1] > faults


def test_a_user_who_sets_malloc_is_left_to_it():
    assert _faults("keep", MALLOC_TRIM_THRESHOLD_="65536")[0] == "False"
