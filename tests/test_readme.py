"""What README says of the library holds."""

import pathlib
import re
import subprocess
import sys

import pytest

from cnnlab import ops
from cnnlab.models import list_models
from cnnlab.ops.global_pooling import global_pools

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text()
# What makes operators, and is none.
MAKERS = {"mapped", "windowed", "pools", "global_pools"}


@pytest.mark.parametrize(
    "name",
    sorted({*ops.pools, *global_pools, *ops.__all__, *list_models()} - MAKERS),
)
def test_a_table_has_a_row_for(name):
    rows = [line for line in README.splitlines() if line.startswith("| ")]
    assert any(f"`{name}`" in row.split(" | ")[0] for row in rows)


@pytest.mark.slow
def test_the_table_of_models_is_what_the_tool_prints():
    command = [sys.executable, "-m", "experiments.describe", "--all"]
    printed = subprocess.run(command, capture_output=True, text=True).stdout
    assert len(printed.splitlines()) > len(list_models()) and printed in README


def test_the_examples_run_as_they_say():
    library, own_pool, *_ = examples()
    done = _run(library + "assert scores.shape == (8, 10)\n")
    assert done.returncode == 0, done.stderr
    done = _run(own_pool)
    (verdict,) = re.findall(r"```\n(\w+: .*?)\n```", README, re.DOTALL)
    assert f"BrokenLaw: {verdict}" in done.stderr


@pytest.mark.slow
def test_the_loop_trains():
    _, _, training, _ = examples()
    done = _run(training + "assert totals.loss / totals.examples < 3\n")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_diagnostics_say_what_it_says():
    *_, diagnostics = examples()
    done = _run(diagnostics)
    assert done.returncode == 0, done.stderr
    before, walked, certified, after = done.stdout.splitlines()
    assert before.startswith("Interval(mean=0.63, low=0.57")
    assert walked == "(8, 8)"
    assert certified.endswith("invariant: lattice 8x8")
    assert after.startswith("Interval(mean=1.0, low=1.0, high=1.0")


def examples():
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def _run(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True)
