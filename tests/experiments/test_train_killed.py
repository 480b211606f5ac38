"""Training processes that are killed, by a signal or by a disk that is full."""

import contextlib
import itertools
import json
import multiprocessing
import pkgutil
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import small_training
from small_training import at, facts, lines

from cnnlab.errors import UserError
from cnnlab.training import checkpoint
from experiments import train
from experiments.training.run import TrainingRun

pytestmark = pytest.mark.slow

PATIENCE = 120
"""Seconds after which a process that does not come to its end fails the test."""

EPOCHS = 16

# Processes fork from one that has imported what takes long, and has no threads.
_CONTEXT = multiprocessing.get_context("forkserver")
_PRELOADED = [
    "small_training",
    "cnnlab.training",
    "experiments.training.run",
    "experiments.training.results",
    "experiments.training.plan",
    "orbax.checkpoint",
]


def _train(workdir, programs):
    with pytest.MonkeyPatch.context() as patch:
        small_training.spare(patch, programs)
        train.run(at(workdir, steps=None, epochs=EPOCHS))


@pytest.fixture
def start(programs):
    """Begins a process that trains in a directory."""
    _CONTEXT.set_forkserver_preload(_PRELOADED)

    def begin(workdir):
        process = _CONTEXT.Process(target=_train, args=(workdir, programs))
        process.start()
        return process

    return begin


def end(process, workdir):
    """What a run came to that nothing stops any more."""
    process.join(PATIENCE)
    assert process.exitcode == 0
    return facts(json.loads((workdir / "results.json").read_text())), lines(workdir)


def test_runs_killed_at_random_moments_come_to_the_same_end(tmp_path, start):
    whole = end(start(tmp_path / "whole"), tmp_path / "whole")
    # Of a process whose programs are compiled, most is training.
    began = time.monotonic()
    assert end(start(tmp_path / "again"), tmp_path / "again") == whole
    seconds = time.monotonic() - began
    draw, killed, writing = random.Random(0), 0, 0
    for number in itertools.count():
        workdir = tmp_path / f"run{number}"
        process = start(workdir)
        while killed < 20:
            time.sleep(draw.uniform(0.1, 0.5) * seconds)
            in_writing = draw.random() < 0.5 and _wait_for(
                lambda at=workdir: any(at.glob("checkpoints/*/*/*.partial")), process
            )
            process.kill()
            process.join()
            if process.exitcode == 0:
                break
            killed += 1
            writing += in_writing
            process = start(workdir)
        assert end(process, workdir) == whole
        if killed == 20:
            break
    assert writing >= 5


def _wait_for(condition, process):
    """Whether the condition comes to hold while the process lives."""
    while process.is_alive():
        if condition():
            return True
        time.sleep(0.001)
    return False


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB, where one can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_half_way(small_disk, monkeypatch, uninterrupted, capfd):
    workdir, ballast = small_disk / "run", small_disk / "ballast"
    # Compiled programs on it too.
    small_training.spare(monkeypatch, workdir / "compile_cache")
    validate = TrainingRun._validate

    def validate_and_fill(self, states, stepper):
        if self._step == 8:
            self._checkpoints.wait()
            with open(ballast, "wb", 0) as file, contextlib.suppress(OSError):
                while file.write(bytes(4096)):
                    pass
        return validate(self, states, stepper)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "_validate", validate_and_fill)
        with pytest.raises(UserError) as caught:
            small_training.run(workdir)
    # Nor does it begin without room.
    with pytest.raises(UserError) as again:
        small_training.run(workdir)
    for error in (caught, again):
        line = str(error.value)
        assert line.startswith("workdir: ") and "\n" not in line
        assert "No space left on device" in line
    ballast.unlink()
    for seed in (0, 1):
        checkpoint.restore(workdir / "checkpoints" / "tiny" / f"seed{seed}" / "4")
    small_training.assert_same(workdir, small_training.run(workdir), uninterrupted)
    assert capfd.readouterr() == ("", "")


# Outside of compilation, SIGTERM is answered within so many seconds.
GRACE = 10


def _main_that_dawdles(workdir, programs, place, seconds):
    """A training process that says by a file where it is, and stays there a while."""
    function = pkgutil.resolve_name(place)

    def dawdle(*args, **more):
        (workdir / "here").touch()
        time.sleep(seconds)
        return function(*args, **more)

    with pytest.MonkeyPatch.context() as patch:
        small_training.spare(patch, programs)
        patch.setattr(place, dawdle)
        train.main(at(workdir))


@pytest.mark.parametrize(
    "place, seconds",
    [
        # Longer than a process may take to leave: validating and scoring have to stop.
        ("cnnlab.training.evaluate", PATIENCE),
        ("cnnlab.training.predictor", PATIENCE),
        # On a slow disk: what is being written, and the step that comes after.
        ("cnnlab.training.checkpoint.write_arrays", GRACE / 5),
    ],
)
def test_a_process_is_terminated_wherever_it_is(
    tmp_path, programs, small, uninterrupted, place, seconds
):
    workdir = tmp_path / "run"
    _CONTEXT.set_forkserver_preload(_PRELOADED)
    process = _CONTEXT.Process(
        target=_main_that_dawdles, args=(workdir, programs, place, seconds)
    )
    process.start()
    try:
        assert _wait_for((workdir / "here").exists, process)
        process.terminate()
        process.join(GRACE)
        assert process.exitcode == 143
    finally:
        process.kill()
    (workdir / "here").unlink()
    assert any(workdir.glob("checkpoints/tiny/seed1/*"))
    assert not (workdir / "results.json").exists()
    results = small_training.run(workdir)
    small_training.assert_same(workdir, results, uninterrupted)


COMMAND = [sys.executable, "-m", "experiments.train", "--train_examples=100"]
COMMAND += ["--image_size=16", "--batch_size=30", "--seeds=2", "--seed_engine=vmap"]
COMMAND += ["--epochs=400", "--dtype=float64", "--tensorboard", "--profile=4:5"]


def terminated(command, workdir, told, least):
    """What the program says that is terminated when so many steps are stored."""
    with open(told, "w") as file:
        process = subprocess.Popen(command, stderr=file)
    # Of the last few that are kept, the one of a step may come and go unseen.
    while process.poll() is None and not any(
        path.name.isdecimal() and int(path.name) >= least
        for path in (workdir / "checkpoints").glob("*/*/*")
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(GRACE) == 143
    finally:
        process.kill()
    return told.read_text().splitlines()


def test_the_program_is_terminated_and_goes_on(tmp_path):
    """As it is, with nothing spared."""
    workdir, told = tmp_path / "run", tmp_path / "told"
    command = [*COMMAND, f"--workdir={workdir}", "--progress=lines"]
    # A slow machine tells of its progress before.
    *_, last = terminated(command, workdir, told, least=6)
    stored = re.fullmatch(
        r"terminated at step ([\d,]+) of 1,200, which is stored; the same command goes "
        r"on",
        last,
    )[1]
    assert any((workdir / "profile").rglob("*.xplane.pb"))
    assert any((workdir / "tensorboard").rglob("*tfevents*"))
    tree = checkpoint.restore(
        max((workdir / "checkpoints/lenet5/seed1").iterdir(), key=lambda p: int(p.name))
    )
    assert tree["params"]["Dense_0"]["kernel"].dtype == np.float64
    more = int(stored.replace(",", "")) + 6
    again = terminated(command, workdir, told, least=more)
    assert f"goes on from step {stored} of 1,200" in again
    (first_step,) = [line for line in again if line.startswith("the first step ended")]
    assert first_step.endswith(", for which 0 programs had to be compiled")
