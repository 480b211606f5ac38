"""Training runs as experiments make them, timed epoch by epoch."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cnnlab import data, training
from cnnlab.models import create_model
from cnnlab.training.engines import Engine, Task, candidates
from experiments import train
from experiments.benchmarking.timing import Contender
from experiments.harness.preemption import Termination
from experiments.harness.profiling import Profile
from experiments.harness.progress import Progress
from experiments.harness.workdir import WorkDirectory
from experiments.training.job import Job
from experiments.training.run import TrainingRun
from experiments.training.run_checkpoints import Position, RunCheckpoints

# Those that are timed, after the one in which a process pages its memory in.
EPOCHS = 3


class Setting(NamedTuple):
    """A run that is timed, by its name."""

    name: str
    job: Job


def settings(batch_size: int, times: int = 1) -> Iterator[Setting]:
    """LeNet-5, whose steps are short, and ResNet-20 in few steps, on drawn images.

    Args:
        times: so many times as long an epoch.
    """
    for model, name, few in (("lenet5", "LeNet-5", 31), ("resnet20", "ResNet-20", 4)):
        steps = few * times
        dataset = data.load(
            "glyphs", train_examples=steps * batch_size, test_examples=1
        )
        # So slowly that no loss ends the run.
        recipe = training.Recipe(
            epochs=1 + EPOCHS, batch_size=batch_size, learning_rate=1e-3
        )
        task = Task(
            create_model(model, dataset.num_classes),
            training.optimizer_of(recipe, recipe.total_steps(steps)),
        )
        yield Setting(
            f"an epoch of {name}, {steps} steps of {batch_size}",
            Job(model, task, recipe, dataset, (0,)),
        )


def contender(job: Job, *, checkpoints: bool) -> Contender:
    """An epoch of `TrainingRun`, from one line of metrics.jsonl to the next.

    That is the checkpoint of the epoch before, waited for while another is still being
    written, copied, and written beside the steps; the epoch's order and steps; the
    looks for losses and weights that are not finite; and the line. Not in it are the
    run's start, compiling, and what follows the last epoch. Nothing is held out to
    validate on.

    Args:
        checkpoints: whether one is written after every epoch; else after the last.
    """
    (engine,) = candidates(job.task, len(job.seeds))

    def run(count: int) -> float:
        return sum(_seconds(job, engine, checkpoints) for _ in range(count))

    return Contender(run)


def _seconds(job: Job, engine: Engine, checkpoints: bool) -> float:
    """Of one epoch, on average, of a run in a folder of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        WorkDirectory.open(train.Config(workdir=folder)) as directory,
        _Timed(directory, job, every_epoch=checkpoints) as stored,
    ):
        TrainingRun(
            job,
            stored,
            directory=directory,
            progress=Progress("none", job.steps),
            asked_to_stop=Termination(),
            profile=Profile(Path(folder), None),
        ).train(engine)
    return (stored.reached[-1] - stored.reached[0]) / EPOCHS


class _Timed(RunCheckpoints):
    """A run's checkpoints, which note when it comes to each."""

    def __init__(self, directory: WorkDirectory, job: Job, *, every_epoch: bool):
        super().__init__(directory, job.arm, job.seeds, job.scaling(), {}, keep=2)
        self.reached: list[float] = []
        self._every_epoch = every_epoch
        self._last = job.steps

    def save(self, position: Position, scores: Sequence[float | None]) -> None:
        self.reached.append(time.perf_counter())
        if self._every_epoch or position.step == self._last:
            super().save(position, scores)
