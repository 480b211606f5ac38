"""Training runs that are stopped at every moment, and go on to the same end."""

import errno
import json
import os
import shutil
import signal
from concurrent.futures import Future

import pytest
from small_training import (
    assert_same,
    at,
    count_steps,
    facts,
    interrupt,
    lines,
    refused,
    run,
    spare,
    stored,
)

from cnnlab import training
from cnnlab.errors import UserError
from cnnlab.training import checkpoint, snapshots
from experiments import train
from experiments.harness.preemption import Terminated
from experiments.training import run as training_run
from experiments.training.stepper import Stepper

pytestmark = pytest.mark.usefixtures("small")


class AtOnce:
    """An executor that has done its work when it is asked to."""

    def __init__(self, *_):
        pass

    def submit(self, function, *args):
        future = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self):
        pass


class Copies:
    """What a process leaves on the disk that is killed before or after some calls."""

    def __init__(self, workdir, folder):
        self._workdir = workdir
        self._folder = folder
        self.made = []

    def around(self, function):
        def copied(*args, **more):
            self._copy()
            result = function(*args, **more)
            self._copy()
            return result

        return copied

    def _copy(self):
        if not (self._workdir / "config.json").exists():
            return
        copy = self._folder / f"{len(self.made)}"
        shutil.copytree(self._workdir, copy)
        self.made.append(copy)


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """A run copied around everything by which it changes its directory."""
    workdir, folder = tmp_path / "run", tmp_path / "copies"
    with pytest.MonkeyPatch.context() as patch:
        # One thread, so that a copy is what there was at one moment.
        patch.setattr(snapshots, "ThreadPoolExecutor", AtOnce)
        copies = Copies(workdir, folder)
        for place, name in (
            (os, "rename"),
            (os, "replace"),
            (checkpoint, "write_arrays"),
            (training_run.WorkDirectory, "append_metrics"),
        ):
            patch.setattr(place, name, copies.around(getattr(place, name)))
        run(workdir)
    return copies.made


def assert_all_go_on(copies, uninterrupted):
    for copy in copies:
        assert_same(copy, run(copy), uninterrupted)


def test_a_run_killed_between_any_two_writes_goes_on(copies, uninterrupted):
    # Three checkpoints of two seeds, two lines each, and what comes after.
    assert len(copies) > 50
    assert_all_go_on(copies[3 :: len(copies) // 6], uninterrupted)


@pytest.mark.slow
def test_a_run_killed_at_more_moments_goes_on(copies, uninterrupted):
    assert_all_go_on(copies[::3], uninterrupted)


def terminated(workdir, **changes):
    """What a run says that is terminated."""
    previous = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as caught:
        run(workdir, **changes)
    assert signal.getsignal(signal.SIGTERM) == previous
    return str(caught.value)


@pytest.mark.parametrize("step", [2, 11])
def test_sigterm_stores_the_step_it_comes_at(
    step, tmp_path, monkeypatch, uninterrupted
):
    workdir = tmp_path / "run"
    with monkeypatch.context() as patch:
        count_steps(patch, terminated_after=step)
        assert (
            terminated(workdir) == f"terminated at step {step} of 11, which is stored"
        )
    folder = workdir / "checkpoints" / "tiny" / "seed1"
    assert sorted(os.listdir(folder), key=int)[-1] == str(step)
    with monkeypatch.context() as patch:
        made = []
        advance = Stepper.advance

        def watched(self, at, count):
            made.extend(range(at, at + count))
            return advance(self, at, count)

        patch.setattr(Stepper, "advance", watched)
        results = run(workdir)
    assert made == list(range(step, 11))
    assert_same(workdir, results, uninterrupted)


def test_sigterm_again_and_again_costs_no_step(tmp_path, monkeypatch, uninterrupted):
    workdir = tmp_path / "run"
    with monkeypatch.context() as patch:
        count_steps(patch, terminated_after=1)
        assert "step 1 of" in terminated(workdir)
    with monkeypatch.context() as patch:
        count_steps(patch, terminated_after=2)
        assert "step 3 of" in terminated(workdir)
    # Before the first step there is nothing to store.
    with monkeypatch.context() as patch:
        compiled = Stepper.__init__
        patch.setattr(Stepper, "__init__", after(compiled))
        assert terminated(workdir) == "terminated"
    assert_same(workdir, run(workdir), uninterrupted)


def after(function):
    """The function, and then SIGTERM."""

    def terminate(*args, **more):
        result = function(*args, **more)
        signal.raise_signal(signal.SIGTERM)
        return result

    return terminate


def test_sigterm_while_validating_leaves_that_to_be_done(
    tmp_path, monkeypatch, uninterrupted
):
    workdir = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(training, "evaluate", after(training.evaluate))
        assert "step 4 of" in terminated(workdir)
    assert lines(workdir) == []
    assert_same(workdir, run(workdir), uninterrupted)


def test_one_seeds_checkpoint_may_know_of_an_epochs_end(tmp_path, monkeypatch):
    workdir, patience = tmp_path / "run", {"patience": 9}
    evaluate = training.evaluate

    def evaluate_alike(*args, **more):
        score, logits = evaluate(*args, **more)
        return score._replace(accuracy=0.5), logits

    with monkeypatch.context() as patch:
        patch.setattr(training, "evaluate", after(evaluate))
        terminated(workdir, **patience)
    monkeypatch.setattr(training, "evaluate", evaluate_alike)
    with monkeypatch.context() as patch:
        patch.setattr(snapshots.Snapshots, "save", once(snapshots.Snapshots.save))
        with pytest.raises(KeyboardInterrupt):
            run(workdir, **patience)
    assert len(lines(workdir)) == 4
    # The first of equal ones is best, for both.
    assert [seed["steps"] for seed in facts(run(workdir, **patience))] == [4, 4]
    assert len(lines(workdir)) == 12 + 2


def once(function):
    """The function, which interrupts the second time."""
    calls = []

    def called(*args, **more):
        calls.append(args)
        if len(calls) > 1:
            interrupt()
        return function(*args, **more)

    return called


def test_sigterm_while_scoring_leaves_that_to_be_done(
    tmp_path, monkeypatch, uninterrupted
):
    workdir = tmp_path / "run"
    with monkeypatch.context() as patch:
        predictor = training.predictor
        patch.setattr(training, "predictor", after(predictor))
        assert terminated(workdir) == "terminated"
    assert not (workdir / "results.json").exists()
    monkeypatch.setattr(Stepper, "__init__", None)
    assert_same(workdir, run(workdir), uninterrupted)


def terminate_and_advance(self, stepper, advance=training_run.TrainingRun._advance):
    signal.raise_signal(signal.SIGTERM)
    advance(self, stepper)


def terminate_after_an_epoch(self):
    # It is begun with a position, too.
    if hasattr(self, "compile_seconds"):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    "place, name, replacement, step, said",
    [
        (
            training_run.TrainingRun,
            "_advance",
            terminate_and_advance,
            0,
            "before the first step",
        ),
        (Stepper, "clear", terminate_after_an_epoch, 4, "at step 4 of 11, which is st"),
    ],
)
def test_sigterm_that_no_step_follows_leaves_what_is_stored(
    tmp_path, monkeypatch, uninterrupted, place, name, replacement, step, said
):
    workdir = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(place, name, replacement)
        assert terminated(workdir).startswith(f"terminated {said}")
    made = [path.name for path in workdir.glob("checkpoints/*/seed0/*")]
    assert made == [str(step)] * bool(step)
    assert_same(workdir, run(workdir), uninterrupted)


def test_sigterm_ends_the_program_with_its_exit_code(tmp_path, monkeypatch, capsys):
    count_steps(monkeypatch, terminated_after=1)
    with pytest.raises(SystemExit) as ended:
        train.main(at(tmp_path / "run", overwrite=True))
    assert ended.value.code == 143
    assert capsys.readouterr().err == (
        "terminated at step 1 of 11, which is stored; the same command without "
        "--overwrite goes on\n"
    )


def stop_at(patch, epoch, seed=1):
    """Ends the process before the line of an epoch and seed."""
    append = training_run.WorkDirectory.append_metrics

    def append_or_end(self, line):
        if (line["epoch"], line["seed"]) == (epoch, seed):
            interrupt()
        append(self, line)

    patch.setattr(training_run.WorkDirectory, "append_metrics", append_or_end)


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory, programs):
    workdir = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        spare(patch, programs)
        stop_at(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run(workdir)
    return workdir


@pytest.fixture
def stopped(stopped_once, tmp_path):
    """The directory of a run with checkpoints of steps 4 and 8."""
    return shutil.copytree(stopped_once, tmp_path / "run")


def damage(workdir, seed, step):
    """Flips a bit of the largest file of a checkpoint."""
    folder = workdir / "checkpoints" / "tiny" / f"seed{seed}" / str(step)
    files = [path for path in folder.rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 4
    largest.write_bytes(content)


def test_a_damaged_checkpoint_is_said_and_the_one_before_used(
    stopped, uninterrupted, capsys
):
    damage(stopped, 1, 8)
    results = run(stopped, progress="lines")
    told = capsys.readouterr().err.splitlines()
    said = [line for line in told if "is damaged (" in line]
    assert len(said) == 1
    assert "step 8 in" in said[0] and "seed1" in said[0]
    assert said[0].endswith("; that of step 4 is used")
    assert_same(stopped, results, uninterrupted)


def test_a_seed_whose_checkpoints_are_all_damaged_is_told_and_begun_anew(
    stopped, uninterrupted, capsys
):
    damage(stopped, 1, 8)
    damage(stopped, 1, 4)
    results = run(stopped, progress="lines")
    told = capsys.readouterr().err.splitlines()
    said = [line for line in told if "seed1" in line and "is damaged (" in line]
    assert ["step 8 in" in said[0], "step 4 in" in said[1], len(said)] == [
        True,
        True,
        2,
    ]
    assert "no whole checkpoint is left of every seed; the run begins anew" in told
    assert_same(stopped, results, uninterrupted)


def test_a_run_that_begins_anew_keeps_what_is_whole_until_it_has_come_as_far(
    stopped, monkeypatch, uninterrupted
):
    damage(stopped, 1, 8)
    damage(stopped, 1, 4)
    seeds = stopped / "checkpoints" / "tiny"
    whole = contents(seeds / "seed0" / "8")
    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "__init__", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(stopped)
    assert sorted(os.listdir(seeds / "seed0")) == ["4.aside", "8.aside"]
    assert contents(seeds / "seed0" / "8.aside") == whole
    assert_same(stopped, run(stopped), uninterrupted)
    assert not list(seeds.glob("*/*.aside"))


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_checkpoint_that_cannot_be_read_here_costs_nothing(
    stopped, monkeypatch, uninterrupted
):
    damage(stopped, 0, 8)
    before = contents(stopped / "checkpoints")
    read = checkpoint.read_arrays

    def unable(path):
        if path.parent.name == "seed1":
            raise ValueError("written in another format")
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "read_arrays", unable)
        refused(
            stopped,
            "workdir: the files of the checkpoint '.*seed1/8' are whole, but "
            "orbax-checkpoint .* and tensorstore .* cannot read what .* wrote "
            r"\(written in another format\); nothing has been changed$",
        )
    assert contents(stopped / "checkpoints") == before
    assert_same(stopped, run(stopped), uninterrupted)


def test_other_versions_of_what_stores_checkpoints_are_told(
    stopped, uninterrupted, capsys
):
    config = stored(stopped, "config.json")
    began = config["environment"]
    here = began["orbax-checkpoint"]
    began["orbax-checkpoint"] = "0.1.2"
    (stopped / "config.json").write_text(json.dumps(config))
    results = run(stopped, progress="lines")
    told = [line for line in capsys.readouterr().err.splitlines() if "begun" in line]
    assert told == [
        f"the run was begun with orbax-checkpoint 0.1.2, and this is {here}"
    ]
    assert_same(stopped, results, uninterrupted)
    config = stored(stopped, "config.json")
    assert config["environment"]["orbax-checkpoint"] == here
    (earlier,) = config["earlier_environments"]
    assert earlier["orbax-checkpoint"] == "0.1.2"


def test_seeds_go_back_to_where_all_of_them_were(stopped, uninterrupted):
    # What was killed twice between two seeds' checkpoints may leave such folders.
    shutil.rmtree(stopped / "checkpoints" / "tiny" / "seed1" / "8")
    shutil.rmtree(stopped / "checkpoints" / "tiny" / "seed0" / "4")
    assert_same(stopped, run(stopped), uninterrupted)


@pytest.mark.parametrize(
    "place, name, code",
    [
        (checkpoint, "write_arrays", errno.ENOSPC),
        (os, "fsync", errno.ENOSPC),
        (os, "replace", errno.EROFS),
    ],
)
def test_a_disk_that_refuses_is_said_and_costs_no_checkpoint(
    stopped, monkeypatch, uninterrupted, place, name, code
):
    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(place, name, refuse)
        with pytest.raises(UserError) as caught:
            run(stopped)
    line = str(caught.value)
    assert line.startswith("workdir: ") and "\n" not in line
    assert os.strerror(code) in line and str(stopped) in line
    assert_same(stopped, run(stopped), uninterrupted)
