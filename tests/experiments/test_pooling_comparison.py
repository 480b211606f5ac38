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

from cnnlab.errors import UserError
from cnnlab.training import checkpoint
from experiments.comparing import comparison, scoring
from experiments.harness import flags
from experiments.harness.workdir import arm_directory
from experiments.pooling_comparison import Config, main, run

SMALL = Config(
    pools=("max_pool", "lp_pool(p=3.0)"),
    seeds=2,
    epochs=2,
    batch_size=32,
    train_examples=200,
    learning_rates=(0.02, 0.05),
    max_shift=2,
    shift_examples=100,
    progress="none",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run: its configuration and its results."""
    workdir = tmp_path_factory.mktemp("runs") / "run"
    config = dataclasses.replace(SMALL, workdir=str(workdir))
    return config, run(config)


@pytest.fixture
def workdir(finished, tmp_path):
    """A path for a run of one's own."""
    return str(tmp_path / "run")


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


def test_the_unmoved_image_scores_as_the_moved_ones_do(finished):
    config, results = finished
    for arm in results["arms"]:
        shifts = arm["shift_accuracy"]
        assert shifts["shifts"] == [-2, -1, 0, 1, 2]
        assert shifts["examples"] == 100
        assert all(0 <= mean <= 1 for mean in shifts["mean"])
        first = []
        for seed in range(config.seeds):
            folder = arm_directory(arm["spec"])
            path = f"{config.workdir}/predictions/{folder}/seed{seed}.npz"
            with np.load(path) as stored:
                hits = stored["logits"].argmax(-1) == stored["labels"]
            first.append(hits[:100].mean())
        assert shifts["mean"][2] == pytest.approx(np.mean(first))


def test_each_arm_takes_its_best_rate_on_validation(finished):
    config, results = finished
    stored = lines(config)
    for arm in results["arms"]:
        last = {
            line["learning_rate"]: line["accuracy"]
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


def test_no_arm_reads_the_test_set_before_all_are_trained(finished, workdir):
    config = dataclasses.replace(finished[0], workdir=workdir)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "score", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(config)
    assert not any(line["split"] == "test" for line in lines(config))
    assert not (Path(workdir) / "predictions").exists()
    # What remains needs no training.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison.Comparison, "_fit", None)
        assert facts(run(config)) == facts(finished[1])
    read = [
        (line["arm"], line["seed"]) for line in lines(config) if line["split"] == "test"
    ]
    assert sorted(read) == sorted(
        (pool, seed) for pool in config.pools for seed in range(config.seeds)
    )


def facts(results):
    """What a run must come to, however often it was stopped."""
    return [
        [
            (seed["params_hash"], seed["test_accuracy"], seed["test_loss"])
            for seed in arm["seeds"]
        ]
        for arm in results["arms"]
    ]


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


def test_a_finished_run_is_not_run_again(finished, monkeypatch, capsys):
    config, results = finished
    monkeypatch.setattr(comparison.Comparison, "train", None)
    assert run(config) == json.loads(json.dumps(results))
    main(config)
    shown = capsys.readouterr().out
    assert f"{config.workdir}/report.html" in shown
    assert "max_pool" in shown


def test_a_stopped_run_goes_on_to_the_same_results(finished, workdir, monkeypatch):
    config = dataclasses.replace(finished[0], workdir=workdir)
    train, epochs = comparison.training.train_epoch, []

    def stopped(*args, **more):
        epochs.append(more)
        # In the second epoch of the second arm's first run at its first rate: the
        # first arm has taken 3 runs of 2 epochs.
        if len(epochs) == 8:
            raise KeyboardInterrupt
        return train(*args, **more)

    monkeypatch.setattr(comparison.training, "train_epoch", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(config)
    results = run(config)
    # Only the epoch before the stop was made twice.
    assert len(epochs) == 8 + 6
    assert facts(results) == facts(finished[1])

    def keys(of):
        return sorted(
            (
                line["arm"],
                line["seed"],
                line["learning_rate"],
                line["epoch"],
                line["split"],
            )
            for line in lines(of)
        )

    assert keys(config) == keys(finished[0])


@pytest.mark.slow
def test_a_net_lost_before_its_checkpoint_is_made_again(finished, workdir, monkeypatch):
    config = dataclasses.replace(finished[0], workdir=workdir)
    monkeypatch.setattr(comparison.checkpoint, "save", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(config)
    monkeypatch.undo()
    assert facts(run(config)) == facts(finished[1])
    seen = [tuple(sorted(line.items())) for line in map(_place, lines(config))]
    assert len(seen) == len(set(seen)) == len(lines(finished[0]))


def _place(line):
    names = ("arm", "seed", "learning_rate", "epoch", "split")
    return {name: line[name] for name in names}


def test_arms_begin_alike_and_see_the_same_batches(finished, workdir, monkeypatch):
    seen = []
    original = comparison.training.train_epoch

    def watched(model, optimizer, state, data, index, **more):
        order = comparison.training.epoch_order(
            index, more["seed"], more["epoch"], batch_size=more["batch_size"]
        )
        start = checkpoint.params_hash(state.params) if more["epoch"] == 0 else None
        seen.append((more["seed"], more["epoch"], start, order.tolist()))
        return original(model, optimizer, state, data, index, **more)

    monkeypatch.setattr(comparison.training, "train_epoch", watched)
    config = dataclasses.replace(
        finished[0], workdir=workdir, learning_rates=(0.05,), epochs=1
    )
    run(config)
    assert len(seen) == 4
    assert seen[:2] == seen[2:]
    assert seen[0][2:] != seen[1][2:]


def test_a_rate_that_diverges_is_not_taken(finished, workdir):
    config = dataclasses.replace(
        finished[0],
        workdir=workdir,
        pools=("max_pool",),
        seeds=1,
        learning_rates=(0.05, 1e12),
    )
    results = run(config)
    assert results["arms"][0]["learning_rate"] == 0.05
    assert any("1e+12" in note for note in results["notes"])
    assert results["arms"][0]["test_accuracy"]["low"] is None


def test_rates_that_all_diverge_are_said(finished, workdir):
    config = dataclasses.replace(
        finished[0], workdir=workdir, learning_rates=(1e12, 1e13), seeds=1
    )
    with pytest.raises(UserError, match="learning_rates: .*max_pool.*not finite"):
        run(config)


def test_other_images_under_the_same_name_are_refused(finished, workdir, monkeypatch):
    from cnnlab import data

    config = dataclasses.replace(
        finished[0], workdir=workdir, learning_rates=(0.05,), seeds=1, epochs=1
    )
    monkeypatch.setattr(comparison.Comparison, "train", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(config)
    load = data.load

    def changed(*args, **more):
        return dataclasses.replace(load(*args, **more), fingerprint="f" * 64)

    monkeypatch.setattr(data, "load", changed)
    with pytest.raises(UserError, match="workdir: .*other images.*--overwrite"):
        run(config)


def test_images_too_small_for_the_model_are_refused(tmp_path, monkeypatch):
    from cnnlab import data

    split = data.Split(np.zeros((200, 8, 8, 1), np.uint8), np.zeros(200, np.int32))
    small = data.Dataset("small", split, split, ("a", "b"), "0" * 64)
    monkeypatch.setattr(data, "load", lambda *args, **more: small)
    config = dataclasses.replace(SMALL, workdir=str(tmp_path / "run"))
    message = "model: lenet5 cannot take 8x8x1 images: kernel .* exceeds the padded map"
    with pytest.raises(UserError, match=message):
        run(config)
    assert not (tmp_path / "run").exists()


def _interrupt(*_, **__):
    raise KeyboardInterrupt


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
        ({"epochs": -1}, "epochs: -1 is less than 1"),
        ({"batch_size": 0}, "batch_size: 0 is less than 1"),
        ({"batch_size": 181}, "batch_size: 181 is more than the 180 training images"),
        ({"image_size": 16, "max_shift": 17}, "max_shift: 17 is more than .* 16"),
        ({"learning_rates": (0.0,)}, "learning_rates: 0.0 is not above 0"),
        ({"learning_rates": ()}, "learning_rates: is empty"),
        ({"rate_seeds": 3}, "rate_seeds: 3 is more than seeds, 2"),
        ({"validation_fraction": 1.0}, "validation_fraction: 1.0 is not in"),
        ({"validation_fraction": 0.0}, "validation_fraction: 0 leaves nothing"),
        ({"validation_fraction": 0.001}, "validation_fraction: .* is none"),
        ({"train_examples": 0}, "train_examples: 0 is less than 1"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path, change, message):
    config = dataclasses.replace(SMALL, workdir=str(tmp_path / "run"), **change)
    with pytest.raises(UserError, match=f"^{message}") as caught:
        run(config)
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
