"""Runs of every kind that SIGTERM stops, and that go on to the same bits."""

import pytest
from small_training import assert_same, count_steps, lines, run

from experiments.harness.preemption import Terminated

pytestmark = pytest.mark.usefixtures("small")

PIECES = ("pad_and_crop(padding=1)", "random_flip")

# The engine; when to stop, which leaves an epoch of four steps in the middle, before
# its end is known, or in the one after; and the rest.
RUNS = [
    pytest.param(
        "vmap",
        6,
        {"optimizer": "adam", "ema_decay": 0.9, "augment": PIECES},
        id="adam-averaged-augmented",
        marks=pytest.mark.slow,
    ),
    pytest.param(
        "map",
        3,
        {"dtype": "bfloat16", "mixup": 0.4, "accumulate": 2, "clip": 0.5},
        id="bfloat16-mixed-in-pieces",
    ),
    pytest.param(
        "vmap",
        10,
        {"dtype": "float64", "optimizer": "adadelta", "patience": 9, "mixup": 0.4},
        id="float64-adadelta-patient",
        marks=pytest.mark.slow,
    ),
    pytest.param(
        "loop",
        4,
        {
            "dtype": "bfloat16",
            "optimizer": "adam",
            "weight_decay": 1e-3,
            "schedule": "piecewise(at=(1, 2), of=3)",
            "ema_decay": 0.9,
            "accumulate": 4,
            "augment": (*PIECES, "random_rotation(degrees=20)", "cutout(size=3)"),
            "label_smoothing": 0.1,
        },
        id="bfloat16-averaged-in-pieces",
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize("engine, stop, changes", RUNS)
def test_a_run_that_is_stopped_comes_to_the_same_bits(
    tmp_path, monkeypatch, engine, stop, changes
):
    changes = {"seed_engine": engine, "learning_rate": 0.01, **changes}
    whole = tmp_path / "whole", run(tmp_path / "whole", **changes)
    workdir = tmp_path / "stopped"
    made = count_steps(monkeypatch, terminated_after=stop)
    with pytest.raises(Terminated, match=f"^terminated at step {stop} of 11, "):
        run(workdir, **changes)
    assert len(lines(workdir)) < len(lines(whole[0]))
    assert_same(workdir, run(workdir, **changes), whole)
    assert made == list(range(11))
