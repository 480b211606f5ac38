"""Transfer: runs from a trained backbone and from scratch, by training-set size."""

import dataclasses
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from cnnlab import data, training
from cnnlab.errors import UserError
from cnnlab.models import create_model, load_pretrained
from cnnlab.models.description import Description
from cnnlab.models.pretrained import encode_weights
from cnnlab.statistics import compare_pairs
from experiments import export, transfer
from experiments.harness import flags, trained_net
from experiments.harness.preemption import Terminated
from experiments.harness.recipe_flags import chosen_recipe
from experiments.harness.run_flags import run_usage
from experiments.harness.workdir import WorkDirectory
from experiments.training import determinism
from experiments.training.plan import net_options
from experiments.training.run_checkpoints import RunCheckpoints
from experiments.transfer import Config, run
from experiments.transferring import plan as transfer_plan
from experiments.transferring.runs import TransferRuns

SIZES = 16, 32
ARMS = [f"{start}_{size}" for size in SIZES for start in ("transfer", "scratch")]
FROZEN = "Conv_0", "Dense_0/kernel"


DESCRIPTION = Description(
    model="lenet5",
    num_classes=4,
    options={"pool": "avg_pool"},
    image_shape=(16, 16, 1),
    class_names=None,
    mean=(40.0,),
    deviation=(70.0,),
)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """The file of a net for other images and fewer classes, as an export writes it."""
    images = jax.ShapeDtypeStruct((1, *DESCRIPTION.image_shape), np.float32)
    variables = DESCRIPTION.create().lazy_init(jax.random.key(7), images)
    path = tmp_path_factory.mktemp("backbone") / "net.safetensors"
    path.write_bytes(encode_weights(variables, DESCRIPTION))
    return str(path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The directory of a run whose net was trained a little."""
    from experiments import train

    workdir = tmp_path_factory.mktemp("checkpoint") / "run"
    train.run(
        train.Config(
            pool="avg_pool",
            image_size=16,
            train_examples=32,
            batch_size=16,
            steps=2,
            validation_fraction=0.0,
            progress="none",
            workdir=str(workdir),
        )
    )
    return str(workdir)


def configured(backbone, workdir, **changes):
    given = {
        "weights": backbone,
        "image_size": 16,
        "train_examples": 60,
        "sizes": SIZES,
        "freeze": FROZEN,
        "batch_size": 8,
        "steps": 4,
        "learning_rate": 0.05,
        "validation_fraction": 0.0,
        "seeds": 1,
        "seed_engine": "loop",
        "progress": "none",
        "workdir": str(workdir),
    }
    return Config(**given | changes)


@pytest.fixture(scope="module")
def finished(backbone, tmp_path_factory):
    """The configuration and the results of a run that no test may change."""
    config = configured(backbone, tmp_path_factory.mktemp("transfer") / "run")
    return config, run(config)


def planned(config):
    """The plans of a configuration by their arms; nothing is trained."""
    config = flags.checked(config)
    net = trained_net.load(config, net_options(config))
    dataset = data.load(
        "glyphs", image_size=config.image_size, train_examples=config.train_examples
    )
    _, plans = transfer_plan.plans(config, chosen_recipe(config), net, dataset)
    return {plan.job.arm: plan.job for plan in plans}


def named(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }


def equal_leaves(one, other):
    """The paths at which the trees are the same to the bit."""
    one, other = named(one), named(other)
    return {p for p in one if one[p].tobytes() == other[p].tobytes()}


def test_frozen_parameters_are_the_backbones_and_all_others_have_moved(
    finished, backbone
):
    config, _ = finished
    wanted = load_pretrained(DESCRIPTION.create(), backbone)["params"]
    for arm in ARMS:
        got = training.load(config.workdir, arm)
        kept = equal_leaves(got.variables["params"], wanted)
        frozen = {"Conv_0/bias", "Conv_0/kernel", "Dense_0/kernel"}
        assert kept == (frozen if arm.startswith("transfer") else set())
        assert got.config.description.create().pool == "avg_pool"


def test_results_have_an_arm_for_each_start_and_size(finished):
    config, results = finished
    assert [arm["name"] for arm in results["arms"]] == ARMS
    assert [(arm["start"], arm["images"]) for arm in results["arms"]] == [
        (start, size) for size in SIZES for start in ("transfer", "scratch")
    ]
    accuracies = {
        arm["name"]: [seed["test_accuracy"] for seed in arm["seeds"]]
        for arm in results["arms"]
    }
    pairs = list(zip(ARMS[::2], ARMS[1::2], strict=True))
    assert results["comparisons"] == compare_pairs(accuracies, pairs=pairs)
    for arm in results["arms"]:
        assert {seed["steps"] for seed in arm["seeds"]} == {4}
        for seed in arm["seeds"]:
            path = f"{config.workdir}/predictions/{arm['name']}/seed{seed['seed']}.npz"
            with np.load(path) as stored:
                right = stored["logits"].argmax(-1) == stored["labels"]
            assert right.mean() == pytest.approx(seed["test_accuracy"])
    assert results["backbone"]["head"] == ["Dense_2/bias", "Dense_2/kernel"]
    stored = json.loads(Path(config.workdir, "results.json").read_text())
    assert stored["status"] == "complete"
    for name in ("first_step_seconds", "programs_compiled", "compile_seconds"):
        assert results[name] == stored[name] > 0


def test_results_tell_the_operations_that_a_gpu_orders_anew(finished):
    config, results = finished
    found = results["unordered_operations"]
    jobs = planned(config)
    for name in ("transfer_16", "scratch_16"):
        alone = determinism.unordered_operations(jobs[name])
        assert all(found[operation] >= count for operation, count in alone.items())
    assert found and not any("XLA" in note for note in results["notes"])


def test_images_are_scaled_as_the_backbone_had_them(finished):
    _, results = finished
    own = training.scaling_of(
        data.load("glyphs", image_size=16, train_examples=60).train
    )
    for arm in results["arms"]:
        mean, deviation = arm["scaling"]["mean"], arm["scaling"]["deviation"]
        if arm["start"] == "transfer":
            wanted = DESCRIPTION.mean, DESCRIPTION.deviation
        else:
            wanted = own
        np.testing.assert_allclose([mean, deviation], wanted, rtol=1e-6)
    (note,) = [note for note in results["notes"] if "scaled as when" in note]
    assert "less 40 and divided by 70 grey levels" in note


def test_the_report_draws_both_starts_against_the_sizes(finished):
    config, results = finished
    assert results["figures"][0] == "figures/size_curves.svg"
    page = Path(config.workdir, "report.html").read_text()
    assert "Mean test accuracy against the number of training images" in page
    assert results["answer"] in page
    assert f"first step ended {results['first_step_seconds']:.1f} seconds after" in page


def test_each_seed_draws_its_images_the_same_for_both_starts(backbone, tmp_path):
    jobs = planned(configured(backbone, tmp_path, validation_fraction=0.25, seeds=2))
    drawn = {}
    for arm, job in jobs.items():
        for seed in job.seeds:
            trained, held_out = job.split(seed)
            assert not set(trained) & set(held_out)
            assert (len(trained), len(held_out)) == (job.images * 3 / 4, job.images / 4)
            drawn[arm, seed] = {*trained, *held_out}
            for epoch in (0, 1):
                order = np.asarray(job.orders(epoch)[seed])
                assert order.shape == (job.steps_per_epoch, 8)
                assert set(order.ravel()) <= set(trained)
                counts = np.unique(order.ravel(), return_counts=True)[1]
                assert counts.max() <= job.passes
    for seed in (0, 1):
        for size in SIZES:
            assert drawn[f"transfer_{size}", seed] == drawn[f"scratch_{size}", seed]
        assert drawn["scratch_16", seed] < drawn["scratch_32", seed]
    assert drawn["scratch_16", 0] != drawn["scratch_16", 1]


def test_all_sizes_take_the_steps_of_the_largest(backbone, tmp_path):
    jobs = planned(
        configured(backbone, tmp_path, steps=None, epochs=3, sizes=(60, 5, 20))
    )
    assert [job.images for job in jobs.values()] == [5, 5, 20, 20, 60, 60]
    assert {job.steps for job in jobs.values()} == {3 * (60 // 8)}
    batches = {job.images: job.recipe.batch_size for job in jobs.values()}
    assert batches == {5: 5, 20: 8, 60: 8}
    epochs = {job.images: (job.passes, job.steps_per_epoch) for job in jobs.values()}
    assert epochs == {5: (7, 7), 20: (3, 6), 60: (1, 7)}


def test_scratch_may_have_a_rate_of_its_own(backbone, tmp_path):
    config = configured(backbone, tmp_path, scratch_learning_rate=0.2)
    for arm, job in planned(config).items():
        rate = 0.2 if arm.startswith("scratch") else 0.05
        assert job.recipe.learning_rate == rate
        (state, *_) = job.start()
        found = named(state.opt_state)
        rates = [v for path, v in found.items() if path.endswith("learning_rate")]
        np.testing.assert_allclose(rates, [rate], rtol=1e-6)


def test_heads_differ_by_seed_and_what_is_before_them_does_not(backbone, tmp_path):
    jobs = planned(configured(backbone, tmp_path, seeds=2))
    first, second = (state.params for state in jobs["transfer_16"].start())
    assert set(named(first)) - equal_leaves(first, second) == {"Dense_2/kernel"}
    scratch = [state.params for state in jobs["scratch_16"].start()]
    for one, other in zip((first, second), scratch, strict=True):
        heads = {"Dense_2/bias", "Dense_2/kernel"}
        biases = {"Conv_0/bias", "Conv_1/bias", "Dense_0/bias", "Dense_1/bias"}
        assert equal_leaves(one, other) == heads | biases
        assert one["Dense_2"]["kernel"].shape == (84, 10)


@pytest.mark.slow
def test_a_checkpoint_and_its_exported_file_come_to_the_same(checkpoint, tmp_path):
    file = str(tmp_path / "net.safetensors")
    export.run(export.Config(checkpoint=checkpoint, output=file))
    config = configured(file, tmp_path / "file")
    by_file = run(config)
    by_checkpoint = run(
        dataclasses.replace(
            config,
            weights=None,
            checkpoint=checkpoint,
            workdir=str(tmp_path / "checkpoint"),
        )
    )
    wanted = training.load(checkpoint).variables["params"]
    got = training.load(tmp_path / "checkpoint", "transfer_32").variables["params"]
    assert {"Conv_0/bias", "Conv_0/kernel", "Dense_0/kernel"} == equal_leaves(
        got, wanted
    )
    assert list(map(hashes, by_checkpoint["arms"])) == list(
        map(hashes, by_file["arms"])
    )


@pytest.mark.slow
def test_stopped_anywhere_it_goes_on_to_the_same_end(backbone, tmp_path, monkeypatch):
    config = configured(
        backbone, tmp_path / "whole", seeds=2, steps=8, validation_fraction=0.25
    )
    wanted = run(config)
    again = dataclasses.replace(config, workdir=str(tmp_path / "stopped"))
    lines = stored_lines(config)
    append, seen = WorkDirectory.append_metrics, []

    def interrupted(self, line):
        seen.append(line["split"] == "test")
        # In the second arm, in its third, and while the nets are scored.
        if len(seen) in (len(lines) // 3, len(lines) // 2) or (
            seen[-1] and sum(seen) == 3
        ):
            raise KeyboardInterrupt
        append(self, line)

    monkeypatch.setattr(WorkDirectory, "append_metrics", interrupted)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run(again)
    got = run(again)
    assert [hashes(arm) for arm in got["arms"]] == [
        hashes(arm) for arm in wanted["arms"]
    ]
    assert got["comparisons"] == wanted["comparisons"]
    assert stored_lines(again) == lines
    assert len(seen) > len(lines)


@pytest.mark.slow
def test_a_trained_net_that_is_damaged_is_trained_again(backbone, tmp_path, capsys):
    config = configured(backbone, tmp_path / "run", sizes=(16,), progress="lines")
    wanted = run(config)
    workdir = Path(config.workdir)
    (workdir / "results.json").unlink()
    (workdir / "records" / "scratch_16-scores.json").unlink()
    (workdir / "checkpoints" / "scratch_16" / "seed0" / "4" / "index.json").unlink()
    capsys.readouterr()
    lines = stored_lines(config)
    got = run(config)
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if line.endswith("is made again")]
    assert "goes on from step 2 of 4" in told
    assert list(map(hashes, got["arms"])) == list(map(hashes, wanted["arms"]))
    assert sorted(map(str, stored_lines(config))) == sorted(map(str, lines))


@pytest.fixture
def unscored(finished, tmp_path):
    """A directory in which a run was stopped when two nets were to be scored."""
    workdir = Path(shutil.copytree(finished[0].workdir, tmp_path / "run"))
    (workdir / "results.json").unlink()
    for size in SIZES:
        (workdir / "records" / f"scratch_{size}-scores.json").unlink()
    return workdir


def test_reading_finished_nets_ends_at_once(finished, unscored, monkeypatch):
    net, read = RunCheckpoints.net, []

    def terminated(self, *args):
        read.append(args)
        os.kill(os.getpid(), signal.SIGTERM)
        return net(self, *args)

    config = dataclasses.replace(finished[0], workdir=str(unscored))
    records = contents(unscored / "records")
    monkeypatch.setattr(RunCheckpoints, "net", terminated)
    monkeypatch.setattr(TransferRuns, "score", None)
    with pytest.raises(Terminated):
        run(config)
    assert len(read) == 1
    assert contents(unscored / "records") == records


def test_a_folder_that_cannot_be_made_is_no_damaged_net(finished, unscored, capsys):
    place = unscored / "checkpoints" / "scratch_32" / "seed0"
    shutil.rmtree(place)
    place.touch()
    config = dataclasses.replace(finished[0], workdir=str(unscored), progress="lines")
    with pytest.raises(UserError, match="^workdir: .*seed0' is a file"):
        run(config)
    assert "is made again" not in capsys.readouterr().err


def hashes(arm):
    return [(seed["params_hash"], seed["test_accuracy"]) for seed in arm["seeds"]]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stored_lines(config):
    stored = Path(config.workdir, "metrics.jsonl").read_text()
    lines = map(json.loads, stored.splitlines())
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def test_a_finished_run_is_read_and_one_from_another_backbone_refused(
    finished, backbone, tmp_path
):
    config, results = finished
    assert run(config) == json.loads(json.dumps(results))
    copied = shutil.copytree(config.workdir, tmp_path / "copied")
    (copied / "results.json").unlink()
    given = copied / "records" / "given.json"
    given.write_text(given.read_text().replace('"backbone": "', '"backbone": "0'))
    with pytest.raises(UserError, match="^workdir: .*another backbone"):
        run(dataclasses.replace(config, workdir=str(copied)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": None}, "weights: give either a file"),
        ({"checkpoint": "a"}, "weights: give either a file"),
        ({"weights": "/none"}, "weights: '/none' cannot be read"),
        (
            {"weights": None, "checkpoint": "/none"},
            "checkpoint: '/none' is not a directory",
        ),
        (
            {"weights": None, "checkpoint": "/none", "model": "lenet5"},
            "model: is for --weights",
        ),
        (
            {"weights": None, "checkpoint": "/none", "pool": "max_pool"},
            "pool: is for PyTorch's weights; a checkpoint knows",
        ),
        ({"model": "resnet20"}, "model: resnet20 is not what the file says, lenet5"),
        ({"num_classes": 3}, "num_classes: 3 is not what the file says, 4"),
        ({"boundary": "circular"}, "boundary: is for PyTorch's weights"),
        ({"sizes": ()}, "sizes: is empty"),
        ({"sizes": (20, 0)}, "sizes: 0 is less than 1"),
        ({"sizes": (20, 20)}, "sizes: 20 is given twice"),
        ({"sizes": (20, 61)}, "sizes: 61 is more than the 60 training images of gl"),
        (
            {"sizes": (1,), "validation_fraction": 0.9},
            "sizes: 1 leaves 0 images to train on, too few",
        ),
        (
            {"sizes": (4, 60), "validation_fraction": 0.1, "patience": 2},
            "sizes: 4 holds out none of its images; there is nothing by which to stop",
        ),
        ({"freeze": ("Conv_0", "Conv_0")}, "freeze: Conv_0 is given twice"),
        (
            {"freeze": ("Conv_0", "conv_1")},
            "freeze: 'conv_1' matches none of the parameters, which are Conv_0/bias, ",
        ),
        ({"freeze": ("Dense_2",)}, "freeze: 'Dense_2' matches none"),
        ({"recipe": "slow"}, "recipe: unknown"),
        ({"learning_rate": 0.0}, "learning_rate: 0.0 is not a finite number above 0"),
        ({"scratch_learning_rate": -1.0}, "scratch_learning_rate: -1.0 is not above 0"),
        ({"seeds": 0}, "seeds: 0 is less than 1"),
        ({"image_size": 15}, "image_size: 15 is less than 16"),
        (
            {"image_size": 20},
            "dataset: lenet5, .* for 16x16x1 images, does not fit 20x20x1 images: ",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    backbone, tmp_path, change, message
):
    workdir = tmp_path / "run"
    with pytest.raises(UserError, match=f"^{message}") as error:
        run(configured(backbone, workdir, **change))
    assert "\n" not in str(error.value)
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("resnet20", "dataset: glyphs has images of 1 channel, and a net takes 3 chan"),
        ("alexnet", "weights: alexnet cannot take 16x16x1 images: "),
        (
            "resnet18",
            "weights: resnet18 has a stride of 32 pixels, and the images are 16x16x1; ",
        ),
        ("lenet5_1998", "weights: a net cannot be transferred: the model has no par"),
    ],
)
def test_a_net_that_cannot_serve_is_refused(tmp_path, model, message):
    config = configured("a", tmp_path)
    net = create_model(model)
    channels = 3 if model == "resnet20" else 1
    scaled = (0.0,) * channels, (1.0,) * channels, 1.0
    shape = (*net.image_shape[:2], channels)
    given = trained_net.Net("a net", net, {}, shape, None, *scaled, model)
    dataset = data.load("glyphs", image_size=16, train_examples=60, test_examples=1)
    with pytest.raises(UserError, match=f"^{message}") as error:
        transfer_plan.plans(config, chosen_recipe(config), given, dataset)
    assert "\n" not in str(error.value)


def test_the_command_line_refuses_in_one_line(backbone, tmp_path, monkeypatch, capsys):
    config = configured(backbone, tmp_path / "run", freeze=("Conv_9",))
    words = flags.command_line(config).split()[3:]
    monkeypatch.setattr(sys, "argv", ["transfer", *words])
    with pytest.raises(SystemExit) as ended:
        flags.main(Config, transfer.main, usage=run_usage(transfer.__doc__))
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("--freeze: 'Conv_9' matches none of the parameters")
