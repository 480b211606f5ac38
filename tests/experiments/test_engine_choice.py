"""How a run comes to its engine, and when it is chosen again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_training import run

from cnnlab.training import fastest
from experiments.training.run import TrainingRun

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture
def timed(monkeypatch):
    """The engines that were timed, call by call; each call takes the next of them."""
    calls = []

    def choose(engines, *args, **more):
        calls.append([engine.name for engine in engines])
        taken = engines[len(calls) % len(engines)]
        return taken, {engine.name: 0.1 for engine in engines}

    monkeypatch.setattr(fastest, "fastest", choose)
    return calls


def stopped_before_training(workdir, monkeypatch):
    """What config.json says of a run that was timed, and came no further."""

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            run(workdir, seed_engine="auto")
    return described(workdir)


def described(workdir):
    return json.loads((workdir / "config.json").read_text())


@pytest.mark.parametrize(
    "name, there", [("device_kind", "another"), ("device_count", 8)]
)
def test_another_machine_times_the_engines_again(
    tmp_path, monkeypatch, timed, name, there
):
    workdir = tmp_path / "run"
    begun = stopped_before_training(workdir, monkeypatch)
    assert begun["seed_engine"] == timed[0][1] == "map"
    here = begun["environment"][name]
    begun["environment"][name] = there
    (workdir / "config.json").write_text(json.dumps(begun))
    # A checkpoint that was damaged is none to go on from.
    (workdir / "checkpoints" / "tiny" / "seed0" / "4.damaged").mkdir(parents=True)
    now = stopped_before_training(workdir, monkeypatch)
    assert len(timed) == 2
    assert now["seed_engine"] == timed[1][2] == "vmap"
    assert now["environment"][name] == here
    assert "earlier_environments" not in now


def test_the_same_machine_keeps_the_engine(tmp_path, monkeypatch, timed):
    begun = stopped_before_training(tmp_path / "run", monkeypatch)
    assert stopped_before_training(tmp_path / "run", monkeypatch) == begun
    assert len(timed) == 1


_COMPARE = """
import sys
from pathlib import Path

import jax
import pytest
import small_comparison
import small_training

from cnnlab.training import fastest

assert jax.device_count() == 2


def devices(engines, *args, **more):
    (found,) = (engine for engine in engines if engine.name == "devices")
    return found, {}


folder = Path(sys.argv[1])
with pytest.MonkeyPatch.context() as patch:
    small_training.spare(patch, folder / "programs")
    patch.setattr(fastest, "fastest", devices)
    changes = {"pools": ("max_pool",), "seeds": 4, "epochs": 1, "reach": 0}
    # One seed, on which rates are tried, and three are none for two devices.
    runs = [
        small_comparison.run(folder / engine, seed_engine=engine, **changes)
        for engine in ("auto", "devices")
    ]
assert [one["environment"]["seed_engine"] for one in runs] == ["devices"] * 2
assert small_training.facts(runs[0]) == small_training.facts(runs[1])
"""


@pytest.mark.slow
def test_devices_are_the_same_by_flag_and_by_timing(tmp_path):
    here = Path(__file__).parent
    told = subprocess.run(
        [sys.executable, "-c", _COMPARE, tmp_path],
        env={
            **os.environ,
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
            "PYTHONPATH": os.pathsep.join([str(here), str(here.parents[1])]),
        },
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
