"""Early stopping."""

import shutil

import jax
import numpy as np
import pytest
from small_training import facts, interrupt, lines, run

from cnnlab import training
from experiments.training import run as training_run
from experiments.training.early_stopping import Patience
from experiments.training.run_checkpoints import RunCheckpoints

pytestmark = pytest.mark.usefixtures("small")


def test_patience_keeps_the_first_best_and_takes_no_step_twice():
    patience = Patience(2)
    told = []
    for step, accuracy in ((4, 0.5), (4, 0.9), (8, 0.7), (12, 0.7), (16, 0.6), (20, 1)):
        patience.note(step, accuracy)
        told.append((patience.accuracy, patience.step, patience.settled))
    assert told == [
        (0.5, 4, False),
        (0.5, 4, False),
        (0.7, 8, False),
        (0.7, 8, False),
        (0.7, 8, True),
        (0.7, 8, True),
    ]
    forever = Patience(0)
    for step in range(1, 9):
        forever.note(step, 1 / step)
    assert not forever.settled and forever.step == 1


# By epoch, then seed: settled after two epochs without a better one.
ACCURACIES = ((0.5, 0.1), (0.4, 0.3), (0.5, 0.2), (0.9, 0.1))
STOPPING = {"steps": 40, "patience": 2, "keep": 3}


@pytest.fixture
def validated(monkeypatch):
    """Gives the seeds these accuracies, and tells of each time: (seed, step)."""
    validate, made = training_run.TrainingRun._validate, []

    def told(self, *args):
        scores = validate(self, *args)
        row = ACCURACIES[self._step // 4 - 1]
        made.extend((k, self._step) for k, each in enumerate(scores) if each)
        return [
            each and each._replace(score=each.score._replace(accuracy=accuracy))
            for each, accuracy in zip(scores, row, strict=True)
        ]

    monkeypatch.setattr(training_run.TrainingRun, "_validate", told)
    return made


def test_early_stopping_takes_each_seeds_best(tmp_path, validated, capsys, monkeypatch):
    monkeypatch.setattr(jax.profiler, "start_trace", None)
    results = run(tmp_path / "run", **STOPPING, profile="16:20", progress="lines")
    # It ends where the trace would have begun.
    told = "--profile=16:20 wrote nothing: the run ended after step 16"
    assert told in capsys.readouterr().err.splitlines()
    best = [(seed["steps"], seed["validation_accuracy"]) for seed in facts(results)]
    assert best == [(4, 0.5), (8, 0.3)]
    for seed, (step, _) in enumerate(best):
        assert training.load(tmp_path / "run", seed=seed).config.steps == step
    assert results["notes"][0].startswith("A seed's curve ends where")
    # The first is settled at 12, and nothing more is told or asked of it.
    made = [(0, 4), (1, 4), (0, 8), (1, 8), (0, 12), (1, 12), (1, 16)]
    assert validated == made
    for split in ("train", "validation"):
        told = (line for line in lines(tmp_path / "run") if line["split"] == split)
        assert [(line["seed"], line["step"]) for line in told] == made


def test_a_damaged_best_net_is_made_again(tmp_path, validated, capsys, monkeypatch):
    whole = run(tmp_path / "whole", **STOPPING)
    save = RunCheckpoints.save

    def save_and_end(self, position, scores):
        save(self, position, scores)
        if position.step == 12:
            interrupt()

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoints, "save", save_and_end)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "run", **STOPPING)
    for seed, step, where in (
        (0, 4, "no whole checkpoint is left of every seed; the run begins anew"),
        (1, 8, "goes on from step 4 of 40"),
    ):
        workdir = shutil.copytree(tmp_path / "run", tmp_path / f"damaged{seed}")
        (index,) = workdir.glob(f"checkpoints/*/seed{seed}/{step}/index.json")
        index.unlink()
        results = run(workdir, **STOPPING, progress="lines")
        told = capsys.readouterr().err.splitlines()
        (at,) = (k for k, line in enumerate(told) if "is damaged (" in line)
        assert f"step {step} in" in told[at] and f"seed{seed}" in told[at]
        assert told[at].endswith("; the run goes back to make it again")
        assert told[at + 1] == where
        assert facts(results) == facts(whole)
        assert lines(workdir) == lines(tmp_path / "whole")


def test_what_a_settled_seed_comes_to_ends_no_run(tmp_path, validated, monkeypatch):
    wanted = facts(run(tmp_path / "whole", **STOPPING))
    states, totals = training_run.Stepper.states, training_run.Stepper.totals

    def spoilt(self):
        made = states(self)
        if self._epoch == 3:
            made[0].params["Dense_0"]["bias"] = np.float32([np.nan])
        return made

    def diverged(self):
        made = totals(self)
        if self._epoch == 3:
            made[0] = made[0]._replace(diverged_at=np.int32(13))
        return made

    monkeypatch.setattr(training_run.Stepper, "states", spoilt)
    monkeypatch.setattr(training_run.Stepper, "totals", diverged)
    assert facts(run(tmp_path / "run", **STOPPING)) == wanted
