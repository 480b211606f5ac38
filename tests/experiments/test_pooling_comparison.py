"""The comparison, end to end, on a few small glyphs."""

import dataclasses
import html
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_comparison
from small_training import glyphs, spare

from cnnlab import data, training
from cnnlab.errors import UserError
from cnnlab.reporting import report
from cnnlab.training import checkpoint
from experiments.harness import flags
from experiments.harness.workdir import arm_directory
from experiments.pooling_comparison import Config, main, run
from experiments.training.run import TrainingRun

SMALL = dataclasses.replace(small_comparison.SMALL, seeds=2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, programs):
    """A finished run with its report: its configuration and its results."""
    workdir = tmp_path_factory.mktemp("runs") / "run"
    config = dataclasses.replace(SMALL, workdir=str(workdir))
    drawn = report.write, report.figure_paths
    with pytest.MonkeyPatch.context() as patch:
        spare(patch, programs)
        patch.setattr(report, "write", drawn[0])
        patch.setattr(report, "figure_paths", drawn[1])
        return config, run(config)


def lines(config):
    with open(f"{config.workdir}/metrics.jsonl") as file:
        return [json.loads(line) for line in file]


def test_results_are_what_is_stored(finished):
    config, results = finished
    with open(f"{config.workdir}/results.json") as file:
        assert json.load(file) == json.loads(json.dumps(results))
    assert results["status"] == "complete"
    assert [arm["spec"] for arm in results["arms"]] == list(config.pools)
    assert results["command"] == flags.command_line(config)


def test_accuracies_follow_from_the_stored_predictions(finished):
    config, results = finished
    for arm in results["arms"]:
        for seed in arm["seeds"]:
            path = f"{config.workdir}/predictions/{arm_directory(arm['spec'])}"
            with np.load(f"{path}/seed{seed['seed']}.npz") as stored:
                right = np.mean(stored["logits"].argmax(-1) == stored["labels"])
                fingerprint = str(stored["dataset_fingerprint"])
                assert stored["logits"].dtype == np.float32
            assert right == pytest.approx(seed["test_accuracy"], abs=1e-12)
            assert fingerprint == results["dataset"]["fingerprint"]
        mean = np.mean([seed["test_accuracy"] for seed in arm["seeds"]])
        assert arm["test_accuracy"]["mean"] == pytest.approx(mean)
        assert arm["test_accuracy"]["n"] == config.seeds


def predictions(config, arm, seed):
    path = f"{config.workdir}/predictions/{arm_directory(arm)}/seed{seed}.npz"
    with np.load(path) as stored:
        return dict(stored)


def test_the_unmoved_image_scores_as_the_moved_ones_do(finished):
    config, results = finished
    for arm in results["arms"]:
        shifts = arm["shift_accuracy"]
        assert shifts["shifts"] == [-1, 0, 1]
        assert shifts["examples"] == 20
        assert all(0 <= mean <= 1 for mean in shifts["mean"])
        first = []
        for seed in range(config.seeds):
            stored = predictions(config, arm["spec"], seed)
            hits = stored["logits"].argmax(-1) == stored["labels"]
            first.append(hits[:20].mean())
        assert shifts["mean"][1] == pytest.approx(np.mean(first))


@pytest.mark.usefixtures("small")
def test_maps_are_what_a_loaded_net_gives_to_shifted_images(finished):
    config, results = finished
    arm = results["arms"][1]
    images = glyphs().test.images[:20]
    for map_ in arm["shift_maps"]:
        of_seeds = []
        for seed in range(config.seeds):
            net = training.load(config.workdir, arm["spec"], seed)
            own = net.predict(images).argmax(-1)
            rows = []
            for dy in map_["offsets"]:
                for dx in map_["offsets"]:
                    moved = np.roll(images, (dy, dx), (1, 2))
                    if map_["motion"] == "zero":
                        height, width = images.shape[1:3]
                        y, x = np.mgrid[:height, :width]
                        inside = (0 <= y - dy) & (y - dy < height)
                        inside &= (0 <= x - dx) & (x - dx < width)
                        moved = moved * inside[None, :, :, None].astype(np.uint8)
                    rows.append(net.predict(moved).argmax(-1))
            of_seeds.append(np.mean(np.array(rows) == own, axis=1).reshape(3, 3))
            pairs = [
                np.mean(one == other)
                for i, one in enumerate(rows)
                for other in rows[:i]
            ]
            stored = arm["seeds"][seed][f"{map_['motion']}_consistency"]
            assert stored == pytest.approx(np.mean(pairs))
        np.testing.assert_allclose(map_["agreement"], np.mean(of_seeds, axis=0))


def test_pairs_are_judged_in_accuracy_and_in_consistency(finished):
    config, results = finished
    (accuracy, rolled, moved) = results["comparisons"]
    metrics = [row["metric"] for row in (accuracy, rolled, moved)]
    assert metrics == ["test_accuracy", "circular_consistency", "zero_consistency"]
    hits = {
        arm: [
            stored["logits"].argmax(-1) == stored["labels"]
            for stored in (predictions(config, arm, seed) for seed in range(2))
        ]
        for arm in config.pools
    }
    for seed, row in enumerate(accuracy["mcnemar"]):
        first, second = (hits[arm][seed] for arm in config.pools)
        assert row["only_a"] == np.sum(first & ~second)
        assert row["only_b"] == np.sum(second & ~first)
    bootstrap = accuracy["bootstrap"]
    assert bootstrap["low"] <= accuracy["difference"] <= bootstrap["high"]
    assert all(
        row["sentence"] and row["delta"] == 0.01 for row in results["comparisons"]
    )
    assert {row["arm"] for row in results["iso_compute"]} == set(config.pools)
    assert all(arm["macs"] > 0 for arm in results["arms"])


def test_each_arm_takes_its_best_rate_on_validation(finished):
    config, results = finished
    stored = lines(config)
    for arm in results["arms"]:
        last = {
            line["peak_rate"]: line["accuracy"]
            for line in stored
            if (line["arm"], line["seed"]) == (arm["spec"], 0)
            and (line["split"], line["epoch"]) == ("validation", config.epochs)
        }
        assert set(last) == set(config.learning_rates)
        assert last[arm["learning_rate"]] == max(last.values())
        rates = {
            rate["learning_rate"]: rate["validation_accuracy"]["mean"]
            for rate in arm["rates"]
        }
        assert rates == pytest.approx(last)


def test_the_report_says_what_was_run(finished):
    config, results = finished
    page = (Path(config.workdir) / "report.html").read_text()
    page = html.unescape(re.sub("<[^>]*>", "", page))
    for text in (
        results["command"],
        results["dataset"]["summary"],
        results["question"],
        "lp_pool(p=3.0)",
    ):
        assert text in page
    assert "glyphs: glyphs" not in page
    names = {Path(figure).stem for figure in results["figures"]}
    assert {"accuracy", "shift_maps", "shift_curves", "learning_curves"} <= names
    for row in results["comparisons"]:
        assert row["sentence"] in page
    assert "shift(circular, -1..1, all pairs, per image)" in page
    for figure in results["figures"]:
        assert (Path(config.workdir) / figure).stat().st_size > 1000
    trained = [line for line in lines(config) if line["split"] != "test"]
    assert results["seconds"] >= sum(line["seconds"] for line in trained)


def test_the_command_leaves_out_what_belongs_to_one_call(finished):
    again = dataclasses.replace(finished[0], overwrite=True)
    assert flags.command_line(again) == finished[1]["command"]
    assert "progress" not in finished[1]["command"]


def test_checkpoints_hold_the_parameters_that_are_named(finished):
    config, results = finished
    (seed, *_) = results["arms"][0]["seeds"]
    folder = f"{config.workdir}/checkpoints/max_pool/seed0/{seed['steps']}"
    variables = checkpoint.restore(Path(folder))
    assert checkpoint.params_hash(variables["params"]) == seed["params_hash"]
    assert variables["scaling"]["mean"].shape == (1,)


@pytest.mark.usefixtures("small")
def test_a_finished_run_is_not_run_again(finished, monkeypatch, capsys):
    config, results = finished
    monkeypatch.setattr(TrainingRun, "train", None)
    assert run(config) == json.loads(json.dumps(results))
    main(config)
    shown = capsys.readouterr().out
    assert f"{config.workdir}/report.html" in shown
    assert "max_pool" in shown


def test_images_too_small_for_the_model_are_refused(tmp_path, monkeypatch):
    split = data.Split(np.zeros((200, 8, 8, 1), np.uint8), np.zeros(200, np.int32))
    small = data.Dataset("small", split, split, ("a", "b"), "0" * 64)
    monkeypatch.setattr(data, "load", lambda *args, **more: small)
    config = Config(workdir=str(tmp_path / "run"), train_examples=200)
    message = "model: lenet5 cannot take 8x8x1 images: kernel .* exceeds the padded map"
    with pytest.raises(UserError, match=message):
        run(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"pools": ("max_pol",)},
            "pools: unknown pool 'max_pol'; choose from .* avg_pool, .* max_pool, ",
        ),
        ({"pools": ("lp_pool(q=3)",)}, "pools: lp_pool has no option 'q'"),
        ({"pools": ("lp_pool(3)",)}, "pools: malformed spec"),
        ({"pools": ("lp_pool(p=0.5)",)}, "pools: .*p 0.5 must be"),
        ({"pools": ()}, "pools: is empty"),
        ({"pools": "max_pool"}, "pools: 'max_pool' is not a list"),
        ({"pools": ("lp_pool(p=[1])",)}, "pools: lp_pool's option 'p' cannot be"),
        (
            {"pools": ("lp_pool(p=3.0)", "lp_pool(p= 3.0)")},
            "pools: .* is lp_pool.* once more",
        ),
        ({"seeds": 2.0}, "seeds: 2.0 is not an integer"),
        ({"learning_rates": 0.1}, "learning_rates: 0.1 is not a list"),
        ({"boundary": "loud"}, "boundary: 'loud' is not one of zero"),
        ({"pools": ("max_pool", "max_pool")}, "pools: max_pool is given twice"),
        ({"model": "lenet6"}, "model: unknown model 'lenet6'; choose from .*lenet5"),
        (
            {"model": "lenet5(pool='max_pool')"},
            "model: .* sets pool; use --pools",
        ),
        (
            {"model": "lenet5(boundary='circular')"},
            "model: .* sets boundary; use --boundary",
        ),
        (
            {"model": "lenet5(downsample='max_pool')"},
            "model: .* sets downsample; use --downsample",
        ),
        ({"downsample": "no_pool"}, "downsample: unknown pool 'no_pool'; choose from"),
        (
            {"downsample": "lp_pool(p=0.5)"},
            "downsample: .* in lenet5 on 28x28x1 images: p 0.5 must be",
        ),
        ({"dataset": "mnits"}, "dataset: "),
        ({"seeds": 0}, "seeds: 0 is less than 1"),
        ({"epochs": -1}, "epochs: -1 is not a whole number of at least 1"),
        ({"batch_size": 0}, "batch_size: 0 is not a whole number of at least 1"),
        ({"batch_size": 181}, "batch_size: 181 is more than the 180 training images"),
        ({"image_size": 16, "max_shift": 17}, "max_shift: 17 is more than .* 16"),
        ({"image_size": 16, "reach": 16, "max_shift": 0}, "reach: 16 is not less than"),
        ({"delta": 1.0}, "delta: 1.0 is not in"),
        ({"recipe": "slow"}, "recipe: unknown recipe 'slow'"),
        (
            {"seed_engine": "map", "seeds": 1, "rate_seeds": 1},
            "seed_engine: 'map' needs",
        ),
        ({"learning_rates": (0.0,)}, "learning_rates: 0.0 is not above 0"),
        ({"learning_rates": ()}, "learning_rates: is empty"),
        ({"rate_seeds": 3}, "rate_seeds: 3 is more than seeds, 2"),
        (
            {"validation_fraction": 1.0},
            "validation_fraction: 1.0 is not a number from 0 to 1",
        ),
        ({"validation_fraction": 0.0}, "validation_fraction: 0 leaves nothing"),
        ({"validation_fraction": 0.001}, "validation_fraction: .* is none"),
        ({"train_examples": 0}, "train_examples: 0 is less than 1"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path, change, message):
    given = {"train_examples": 200, "seeds": 2, "workdir": str(tmp_path / "run")}
    with pytest.raises(UserError, match=f"^{message}") as caught:
        run(Config(**{**given, **change}))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_the_command_line_refuses_in_one_line(tmp_path):
    command = [sys.executable, "-m", "experiments.pooling_comparison", "--seeds=0"]
    done = subprocess.run(
        [*command, f"--workdir={tmp_path}"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == "--seeds: 0 is less than 1\n"
    assert done.stdout == ""
