"""Comparisons that are stopped, and go on to the same end; rates that fail."""

import dataclasses
import os
import shutil
import signal
import time

import pytest
from small_comparison import at, facts, run, sorted_lines
from small_training import spare

from cnnlab import data
from cnnlab.errors import UserError
from experiments import pooling_comparison
from experiments.comparing import comparison, experiment, scoring, shift_measures
from experiments.comparing.measure import Measure
from experiments.harness.preemption import Terminated
from experiments.harness.workdir import WorkDirectory
from experiments.training.run import TrainingRun
from experiments.training.run_checkpoints import RunCheckpoints
from experiments.training.stepper import Stepper

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, programs):
    """The directory and results of a comparison that nothing stopped."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        spare(patch, programs)
        return workdir, run(workdir)


def at_call(monkeypatch, owner, name, number, act):
    """Acts before the call of that number, counted from 1; the list of all calls."""
    function, calls = getattr(owner, name), []

    def counted(*args, **more):
        calls.append(args)
        if len(calls) == number:
            act()
        return function(*args, **more)

    monkeypatch.setattr(owner, name, counted)
    return calls


def stop(*_, **__):
    raise KeyboardInterrupt


def assert_same(workdir, results, whole):
    assert facts(results) == facts(whole[1])
    assert sorted_lines(workdir) == sorted_lines(whole[0])
    assert sorted(path.name for path in (workdir / "checkpoints").iterdir()) == [
        "lp_pool_p_3.0_",
        "max_pool",
    ]


MOMENTS = {
    "the second epoch of the first rate": (Stepper, "advance", 5),
    "the last seeds of the first arm": (Stepper, "advance", 15),
    "before a rate is taken": (comparison.Comparison, "_take", 2),
    "when it is taken by half": (comparison.shutil, "rmtree", 1),
    "before a record of training": (WorkDirectory, "write_record", 4),
    "before a record of scores": (WorkDirectory, "write_record", 12),
    "before a record of a measurement": (WorkDirectory, "write_record", 16),
}
QUICK = "the last seeds of the first arm", "when it is taken by half"


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in MOMENTS
    ],
)
def test_a_stopped_comparison_goes_on(tmp_path, monkeypatch, whole, moment):
    workdir = tmp_path / "run"
    owner, name, number = MOMENTS[moment]
    with monkeypatch.context() as patch:
        calls = at_call(patch, owner, name, number, stop)
        with pytest.raises(KeyboardInterrupt):
            run(workdir)
        assert len(calls) == number
    assert_same(workdir, run(workdir), whole)


def test_sigterm_stores_where_it_is(tmp_path, monkeypatch, whole):
    workdir, steps = tmp_path / "run", []
    advance = Stepper.advance

    def counted(self, step, count):
        steps.append(count)
        if len(steps) == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        return advance(self, step, count)

    monkeypatch.setattr(Stepper, "advance", counted)
    with pytest.raises(Terminated, match="at step .* is stored"):
        run(workdir)
    results = run(workdir)
    # Two arms: two rates on one seed, then the two others in step, of 8 steps each.
    assert sum(steps) == 2 * 3 * 8
    assert_same(workdir, results, whole)


def test_a_trained_net_that_is_damaged_is_made_again(
    tmp_path, capsys, monkeypatch, whole
):
    workdir = shutil.copytree(whole[0], tmp_path / "run")
    (workdir / "results.json").unlink()
    # The others of its seeds have been scored.
    (workdir / "records" / "max_pool-seed1-scores.json").unlink()
    damage(workdir, "max_pool", 1, 8)
    # The seed that rates are tried on, whose other trials are gone.
    damage(workdir, "lp_pool_p_3.0_", 0, 8)
    damage(workdir, "lp_pool_p_3.0_", 0, 4)
    steps, advance = [], Stepper.advance

    def counted(self, step, count):
        steps.append(count)
        return advance(self, step, count)

    monkeypatch.setattr(Stepper, "advance", counted)
    results = run(workdir, progress="lines")
    told = capsys.readouterr().err.splitlines()
    again = [line for line in told if line.endswith("; it is made again")]
    assert ["max_pool/seed1" in again[0], "lp_pool_p_3.0_/seed0" in again[1]] == [1, 1]
    assert len(again) == 2
    assert "goes on from step 4 of 8" in told
    assert "no whole checkpoint is left of every seed; the run begins anew" in told
    assert sum(steps) == 4 + 8
    assert_same(workdir, results, whole)


@pytest.fixture
def trained(tmp_path, whole):
    """A directory in which a comparison was stopped when all its nets were trained."""
    workdir = shutil.copytree(whole[0], tmp_path / "run")
    (workdir / "results.json").unlink()
    for path in (workdir / "records").glob("*-scores.json"):
        path.unlink()
    return workdir


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_reading_finished_nets_ends_at_once(monkeypatch, whole, trained):
    """However many there are, and however long each takes."""
    net, read = RunCheckpoints.net, []

    def terminated(self, *args):
        read.append(args)
        os.kill(os.getpid(), signal.SIGTERM)
        return net(self, *args)

    records = contents(trained / "records")
    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoints, "net", terminated)
        patch.setattr(scoring, "score", None)
        with pytest.raises(Terminated):
            run(trained)
    assert len(read) == 1
    assert contents(trained / "records") == records
    monkeypatch.setattr(TrainingRun, "train", None)
    assert_same(trained, run(trained), whole)


def test_a_folder_that_cannot_be_made_is_no_damaged_net(capsys, trained):
    place = trained / "checkpoints" / "max_pool" / "seed1"
    shutil.rmtree(place)
    place.touch()
    with pytest.raises(UserError, match="^workdir: .*seed1' is a file"):
        run(trained, progress="lines")
    assert "is made again" not in capsys.readouterr().err


def damage(workdir, arm, seed, step):
    """Flips a bit of the largest file of a checkpoint."""
    folder = workdir / "checkpoints" / arm / f"seed{seed}" / str(step)
    files = [path for path in folder.rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 4
    largest.write_bytes(content)


@pytest.mark.slow
def test_a_net_that_is_made_again_may_be_stopped(tmp_path, monkeypatch, whole):
    workdir = shutil.copytree(whole[0], tmp_path / "run")
    (workdir / "results.json").unlink()
    damage(workdir, "max_pool", 1, 8)
    for owner, name in (
        (WorkDirectory, "keep_metrics"),
        (Stepper, "advance"),
        (WorkDirectory, "write_record"),
    ):
        with monkeypatch.context() as patch:
            at_call(patch, owner, name, 2, stop)
            with pytest.raises(KeyboardInterrupt):
                run(workdir)
    assert_same(workdir, run(workdir), whole)


def test_no_arm_reads_the_test_set_before_all_are_trained(tmp_path, monkeypatch, whole):
    workdir = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score", stop)
        with pytest.raises(KeyboardInterrupt):
            run(workdir)
    assert not any(line["split"] == "test" for line in sorted_lines(workdir))
    assert not (workdir / "predictions").exists()
    # What remains needs no training.
    monkeypatch.setattr(TrainingRun, "train", None)
    assert_same(workdir, run(workdir), whole)


def test_what_was_measured_is_not_asked_again(tmp_path, monkeypatch, whole):
    asked = []

    def of_net(predict, dataset):
        asked.append(predict(dataset.test.images[:1]).shape)
        if len(asked) == 3:
            stop()
        return {"number": len(asked)}

    monkeypatch.setattr(
        shift_measures, "consistency", lambda *_: Measure("number", of_net)
    )
    original = experiment.run
    monkeypatch.setattr(
        experiment,
        "run",
        lambda *args, **more: original(*args, **more | {"compared": ()}),
    )
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run")
    results = run(tmp_path / "run")
    seeds = [seed for arm in results["arms"] for seed in arm["seeds"]]
    assert [seed["number"] for seed in seeds] == [1, 2, 4, 5, 6, 7]
    assert results["arms"][0]["number"]["mean"] == pytest.approx(7 / 3)


def test_a_rate_that_diverges_is_not_taken(tmp_path):
    change = {"pools": ("max_pool",), "seeds": 1, "learning_rates": (0.05, 1e30)}
    results = run(tmp_path / "run", **change)
    (arm,) = results["arms"]
    assert arm["learning_rate"] == 0.05
    assert [rate["learning_rate"] for rate in arm["rates"]] == [0.05]
    assert any("1e+30" in note for note in results["notes"])
    assert arm["test_accuracy"]["low"] is None
    assert results["comparisons"] == []
    names = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert names == {"max_pool"}


def test_results_tell_of_the_first_step_and_of_all_compiling(
    tmp_path, monkeypatch, capsys
):
    compiled, begin = [], Stepper.__init__

    def timed(self, *args):
        begin(self, *args)
        compiled.append(self.compile_seconds)

    monkeypatch.setattr(Stepper, "__init__", timed)
    change = {"pools": ("max_pool",), "seeds": 1, "learning_rates": (1e30, 0.05)}
    began = time.perf_counter() - 1000
    config = at(tmp_path / "run", progress="lines", **change)
    results = pooling_comparison.run(config, began)
    # That of the rate which is given up, and which was first, counts.
    assert len(compiled) == 2
    assert results["compile_seconds"] == pytest.approx(sum(compiled))
    assert 1000 < results["first_step_seconds"] < time.perf_counter() - began
    told = capsys.readouterr().err.splitlines()
    (said,) = [line for line in told if line.startswith("the first step ended ")]
    assert f" {results['first_step_seconds']:.1f} s after the start, " in said
    assert f" {results['programs_compiled']} program" in said


@pytest.mark.parametrize("rates", [(1e30, 1e31), (1e30,)])
def test_rates_that_all_diverge_are_said(tmp_path, rates):
    with pytest.raises(UserError, match="learning_rates: .*max_pool") as caught:
        run(tmp_path / "run", learning_rates=rates, seeds=1)
    assert "not finite" in str(caught.value) and "\n" not in str(caught.value)


def test_other_images_under_the_same_name_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison.Comparison, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run")
    other = dataclasses.replace(data.load("glyphs"), fingerprint="f" * 64)
    monkeypatch.setattr(data, "load", lambda *args, **more: other)
    with pytest.raises(UserError, match="workdir: .*other images.*--overwrite"):
        run(tmp_path / "run")
