"""What is told of a command's way to its first training step."""

import json
import re
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import pytest
import small_training

from cnnlab.reporting import report
from cnnlab.training.engines import Engine
from experiments import train
from experiments.harness import compile_cache
from experiments.harness.first_step import FirstStep

ASLEEP = 0.3


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")
def test_a_process_knows_when_it_began():
    """Before anything of this is imported."""
    script = (
        f"import time; time.sleep({ASLEEP})\n"
        "from experiments.harness.first_step import process_began\n"
        "print(time.perf_counter() - process_began())"
    )
    began = time.perf_counter()
    age = subprocess.check_output([sys.executable, "-c", script])
    # The system counts in hundredths of a second.
    assert ASLEEP <= float(age) <= time.perf_counter() - began + 0.02


def test_programs_that_are_kept_are_not_counted_again(tmp_path):
    told = []
    with compile_cache.kept_in(tmp_path):
        for _ in range(2):
            first_step = FirstStep(began=time.perf_counter() - 1000)
            assert set(first_step.facts().values()) == {None}
            # Another function with the same program, as in another process.
            jax.jit(lambda x: jnp.sin(x) * 3)(jnp.float32(1)).block_until_ready()
            told.append(first_step.made())
            jax.jit(lambda x: jnp.cos(x) / 5)(jnp.float32(1)).block_until_ready()
            # Only the first step is told of.
            assert first_step.made() is None
            assert first_step.facts()["first_step_seconds"] >= 1000
    lines = [
        re.fullmatch(
            r"the first step ended 100\d\.\d s after the start, for which (\d+) "
            r"programs? had to be compiled",
            line,
        )
        for line in told
    ]
    counts = [int(line[1]) for line in lines]
    assert counts[0] >= 1 and counts[1] == 0
    assert first_step.facts()["programs_compiled"] == 0


# Beyond what any test takes.
WAITED, COMPILING = 1000, 5000


@pytest.mark.usefixtures("small")
def test_a_run_tells_of_its_first_step(tmp_path, capsys, monkeypatch):
    clock, compile, late, pages = time.perf_counter, Engine.compile, [], []

    def compile_long(*args):
        late.append(COMPILING)
        return compile(*args)

    monkeypatch.setattr(Engine, "compile", compile_long)
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + sum(late))
    monkeypatch.setattr(
        report, "write", lambda _, found, *more: pages.append(report.page_of(found, []))
    )
    config = small_training.at(tmp_path / "run", seeds=1, progress="lines")
    began = time.perf_counter() - WAITED
    results = train.run(config, began)
    seconds = results["first_step_seconds"]
    assert WAITED + COMPILING <= seconds <= time.perf_counter() - began
    stored = json.loads((tmp_path / "run" / "results.json").read_text())
    told = capsys.readouterr().err.splitlines()
    said = [line for line in told if line.startswith("the first step ended ")]
    assert len(said) == 1
    assert f" {seconds:.1f} s after the start, " in said[0]
    assert f" {stored['programs_compiled']} program" in said[0]
    assert stored["first_step_seconds"] == seconds
    assert f"the first step ended {seconds:.1f} seconds after" in pages[0]
    # Compiling is told of apart, without what came before.
    assert COMPILING <= stored["compile_seconds"] <= seconds - WAITED
    # Neither is in what steps take.
    assert 0 < stored["arms"][0]["step_seconds"] < WAITED
    assert 0 < stored["arms"][0]["seeds"][0]["seconds"] < WAITED
