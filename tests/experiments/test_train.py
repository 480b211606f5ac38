"""What a training run writes, and how it ends."""

import json

import jax
import numpy as np
import pytest
from small_training import at, facts, glyphs, interrupt, lines, refused, run, stored

from cnnlab import training
from cnnlab.models import load_pretrained
from cnnlab.training import checkpoint
from experiments import export, train
from experiments.harness import event_files, flags
from experiments.training import run as training_run

pytestmark = pytest.mark.usefixtures("small")


def test_results_follow_from_what_is_stored(uninterrupted):
    workdir, results = uninterrupted
    assert stored(workdir, "results.json") == json.loads(json.dumps(results))
    assert results["status"] == "complete"
    (arm,) = results["arms"]
    for seed in arm["seeds"]:
        folder = workdir / "checkpoints" / "tiny" / f"seed{seed['seed']}"
        tree = checkpoint.restore(folder / str(seed["steps"]))
        assert checkpoint.params_hash(tree["params"]) == seed["params_hash"]
        with np.load(workdir / f"predictions/tiny/seed{seed['seed']}.npz") as file:
            right = np.mean(file["logits"].argmax(-1) == glyphs().test.labels)
        assert seed["test_accuracy"] == pytest.approx(right, abs=1e-12)
    first, second = (seed["params_hash"] for seed in arm["seeds"])
    assert first != second


def test_lines_tell_each_epoch_of_each_seed_once(uninterrupted):
    workdir, _ = uninterrupted
    places = [
        (line["seed"], line["split"], line["epoch"], line["step"])
        for line in lines(workdir)
    ]
    # The last epoch is cut short by the number of steps.
    assert sorted(places) == sorted(
        [
            (seed, split, epoch, step)
            for seed in (0, 1)
            for split in ("train", "validation")
            for epoch, step in ((1, 4), (2, 8), (3, 11))
        ]
        + [(seed, "test", 3, 11) for seed in (0, 1)]
    )


def test_a_trained_net_is_loaded_and_exported(tmp_path):
    """With options of the model, averaged weights and augmented images."""
    workdir = tmp_path / "run"
    results = run(
        workdir,
        pool="avg_pool",
        dtype="bfloat16",
        ema_decay=0.9,
        augment=("random_flip",),
        seeds=1,
    )
    (seed,) = results["arms"][0]["seeds"]
    loaded = training.load(workdir)
    tree = checkpoint.restore(
        workdir / "checkpoints" / "tiny_pool_avg_pool_" / "seed0" / "11"
    )
    assert loaded.config.arm == "tiny[pool=avg_pool]"
    options = {"pool": "avg_pool", "dtype": "bfloat16"}
    assert loaded.config.description.options == options
    averaged = checkpoint.params_hash(tree["average"]["params"])
    assert seed["params_hash"] == averaged != checkpoint.params_hash(tree["params"])
    with np.load(workdir / "predictions/tiny_pool_avg_pool_/seed0.npz") as file:
        logits = file["logits"]
    images = glyphs().test.images
    np.testing.assert_array_equal(loaded.predict(images), logits)
    path = export.run(
        export.Config(checkpoint=str(workdir), output=str(tmp_path / "a.safetensors"))
    )
    exported = load_pretrained(loaded.config.description.create(), path)
    jax.tree.map(np.testing.assert_array_equal, exported, loaded.variables)


def test_validation_and_test_tell_the_loss_that_is_trained(tmp_path):
    workdir = tmp_path / "run"
    results = run(workdir, loss="mean_squared_error", steps=4, seeds=1)
    loss = {line["split"]: line["loss"] for line in lines(workdir)}
    (seed,) = facts(results)
    assert seed["test_loss"] == loss["test"]
    predict, images = training.load(workdir).predict, glyphs()
    _, held_out = training.validation_split(80, 0.2, 0)
    for split, scored in (
        ("validation", (images.train.images[held_out], images.train.labels[held_out])),
        ("test", (images.test.images, images.test.labels)),
    ):
        wanted = np.mean((predict(scored[0]) - np.eye(10)[scored[1]]) ** 2)
        assert loss[split] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"overwrite": False}, []),
        ({"progress": "lines"}, []),
        ({"tensorboard": True}, ["--tensorboard writes nothing of a run that is"]),
        ({"profile": "3:5"}, ["--profile writes nothing of a run that is finished"]),
    ],
)
def test_a_finished_run_is_not_run_again(
    uninterrupted, monkeypatch, capsys, change, said
):
    workdir, results = uninterrupted
    monkeypatch.setattr(training_run.TrainingRun, "train", None)
    monkeypatch.setattr(event_files, "require", lambda: None)
    train.main(at(workdir, **change))
    shown = capsys.readouterr().out
    assert "--overwrite runs it again\n" in shown
    assert f"{workdir}/report.html" in shown
    told = [line for line in shown.splitlines() if "writes nothing" in line]
    assert len(told) == len(said)
    assert all(map(str.startswith, told, said))


def test_the_engine_is_settled_once(tmp_path, monkeypatch):
    from cnnlab.training import fastest

    workdir = tmp_path / "run"
    timed = []

    def slowest_first(engines, *args, **more):
        timed.append([engine.name for engine in engines])
        return engines[1], {engine.name: 0.1 for engine in engines}

    monkeypatch.setattr(fastest, "fastest", slowest_first)
    with monkeypatch.context() as patch:
        patch.setattr(training, "evaluate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(workdir, seed_engine="auto")
    config = stored(workdir, "config.json")
    assert config["seed_engine"] == timed[0][1] == "map"
    assert set(config["seed_engine_seconds"]) >= {"loop", "map", "vmap"}
    results = run(workdir, seed_engine="auto")
    assert len(timed) == 1
    assert results["environment"]["seed_engine"] == "map"
    assert stored(workdir, "config.json") == config


def _main(config):
    """The program, as its command starts it."""
    argv = flags.command_line(config).replace("'", "").split()[3:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["train", *argv, "--progress=none"])
        flags.main(train.Config, train.main, usage="")


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path, capsys):
    workdir = tmp_path / "run"
    with pytest.raises(SystemExit) as ended:
        _main(at(workdir, learning_rate=1e30, clip=0.0))
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("--learning_rate: the loss is not finite at step ")
    for part in (" of tiny, seed 0, at a peak rate of 1e+30;", "checkpoint is none"):
        assert part in line
    assert not (workdir / "results.json").exists()


def test_weights_that_are_not_finite_are_no_good_checkpoint(tmp_path, monkeypatch):
    states = training_run.Stepper.states

    def spoilt(self):
        made = states(self)
        if self._epoch == 1:
            made[1].params["Dense_0"]["bias"] = np.float32([np.nan])
        return made

    monkeypatch.setattr(training_run.Stepper, "states", spoilt)
    refused(
        tmp_path / "run",
        "learning_rate: the weights are not finite after step 8 of tiny, seed 1, .*; "
        f"the last good checkpoint is {tmp_path}/run/checkpoints/tiny/seed1/4$",
    )
