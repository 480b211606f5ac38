"""Comparisons that are killed at random moments, as `kill -9` does."""

import json
import multiprocessing
import random
import time

import pytest
import small_comparison
import small_training
from small_comparison import facts, sorted_lines

pytestmark = pytest.mark.slow

PATIENCE = 120
"""Seconds after which a process that does not come to its end fails the test."""

# Processes fork from one that has imported what takes long, and has no threads.
_CONTEXT = multiprocessing.get_context("forkserver")
_PRELOADED = [
    "small_comparison",
    "experiments.comparing.comparison",
    "orbax.checkpoint",
]


def _compare(workdir, programs):
    with pytest.MonkeyPatch.context() as patch:
        small_training.spare(patch, programs)
        small_comparison.run(workdir, epochs=12, seeds=2)


def _start(workdir, programs):
    process = _CONTEXT.Process(target=_compare, args=(workdir, programs))
    process.start()
    return process


def _end(process, workdir):
    process.join(PATIENCE)
    assert process.exitcode == 0
    results = json.loads((workdir / "results.json").read_text())
    return facts(results), sorted_lines(workdir)


def test_a_killed_comparison_comes_to_the_same_end(tmp_path, programs):
    _CONTEXT.set_forkserver_preload(_PRELOADED)
    whole = _end(_start(tmp_path / "whole", programs), tmp_path / "whole")
    # Of a process whose programs are compiled, most is training.
    began = time.monotonic()
    assert _end(_start(tmp_path / "again", programs), tmp_path / "again") == whole
    seconds = time.monotonic() - began
    draw, workdir = random.Random(0), tmp_path / "run"
    process, killed = _start(workdir, programs), 0
    while killed < 8:
        time.sleep(draw.uniform(0.1, 0.5) * seconds)
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        killed += 1
        process = _start(workdir, programs)
    assert killed >= 2
    assert _end(process, workdir) == whole
