"""Trains the seeds of one net by a recipe, in a work directory that survives.

A checkpoint after every epoch holds all that the next step depends on, so that the same
command goes on from it to the same end. The metric lines up to a checkpoint are written
before it is; those after it are dropped when a run goes on from there, and made again.
"""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab import training
from cnnlab.data import Dataset
from cnnlab.errors import UserError
from cnnlab.training import checkpoint
from cnnlab.training.engines import Engine, Task
from cnnlab.training.optimizer import learning_rate
from cnnlab.training.state import Totals, TrainState
from experiments.early_stopping import Patience
from experiments.event_files import EventFiles
from experiments.preemption import Terminated
from experiments.profiling import Profile
from experiments.progress import Progress
from experiments.run_checkpoints import Position, RunCheckpoints
from experiments.workdir import WorkDirectory

# Progress is told, and SIGTERM and a loss that is not finite are seen, this often.
SECONDS_PER_CALL = 0.25


@dataclasses.dataclass(frozen=True)
class Job:
    """What is trained on what: all that a run's numbers depend on, but for rounding.

    Attributes:
        arm: the net's name among a run's.
        dtype: float32, bfloat16 or float64.
    """

    arm: str
    task: Task
    recipe: training.Recipe
    dataset: Dataset
    seeds: tuple[int, ...]
    dtype: str = "float32"

    @property
    def wide(self) -> str:
        """The dtype of parameters and sums."""
        return "float64" if self.dtype == "float64" else "float32"

    def scaling(self) -> training.Scaling:
        """How images reach the net."""
        return training.scaling_of(self.dataset.train, self.wide)

    def split(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The images that a seed trains on, and those it validates on."""
        examples = len(self.dataset.train.labels)
        return training.validation_split(
            examples, self.recipe.validation_fraction, seed
        )

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of the images that are trained on."""
        examples = len(self.dataset.train.labels)
        held_out = round(examples * self.recipe.validation_fraction)
        return (examples - held_out) // self.recipe.batch_size

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.recipe.total_steps(self.steps_per_epoch)

    def start(self) -> list[TrainState]:
        """The states at step 0."""
        return [
            training.init(
                self.task.model,
                self.task.optimizer,
                seed,
                self.dataset.image_shape,
                dtype=self.wide,
                averaged=bool(self.recipe.ema_decay),
            )
            for seed in self.seeds
        ]

    def data(self) -> training.Resident:
        """The training images, on the device."""
        return training.resident(self.dataset.train, self.scaling())

    def orders(self, epoch: int) -> list[jax.Array]:
        """Each seed's batches of an epoch."""
        return [
            training.epoch_order(
                jnp.asarray(self.split(seed)[0]),
                seed,
                epoch,
                batch_size=self.recipe.batch_size,
            )
            for seed in self.seeds
        ]


class TrainingRun:
    """A job's seeds, from their start or their last checkpoint to their end.

    Attributes:
        compile_seconds: what compiling the steps took, in this process.
    """

    def __init__(
        self,
        job: Job,
        checkpoints: RunCheckpoints,
        *,
        directory: WorkDirectory,
        progress: Progress,
        asked_to_stop: threading.Event,
        profile: Profile,
        tensorboard: bool = False,
    ):
        self.job = job
        self.compile_seconds = 0.0
        self._checkpoints = checkpoints
        self._directory = directory
        self._progress = progress
        self._asked_to_stop = asked_to_stop
        self._profile = profile
        self._tensorboard = tensorboard
        self._events: EventFiles | None = None
        self._step = 0
        self._paces: list[float] = []
        self._patience = [Patience(job.recipe.patience) for _ in job.seeds]

    def train(self, engine: Engine) -> list[dict[str, Any]]:
        """The record of each seed, whose net is in its checkpoint of that step.

        Raises:
            UserError: a loss is not finite, or something cannot be stored or read.
            Terminated: SIGTERM came; everything is stored.
        """
        began = time.perf_counter()
        position = self._start()
        seconds_before = position.seconds
        if self._tensorboard:
            folder = self._directory.path / "tensorboard"
            self._events = EventFiles(folder, self._directory.metrics())
        with contextlib.ExitStack() as stack:
            stack.callback(self._profile.close)
            if self._events is not None:
                stack.callback(self._events.close)
            stepper = _Stepper(self.job, engine, position)
            self.compile_seconds = stepper.compile_seconds
            while self._step < self.job.steps and not self._settled():
                epoch_ended = self._advance(stepper)
                states, totals = stepper.position()
                if epoch_ended:
                    self._end_epoch(states, totals, stepper)
                    totals = stepper.clear()
                spent = seconds_before + time.perf_counter() - began
                self._save(states, totals, spent)
                if self._asked_to_stop.is_set() and self._step < self.job.steps:
                    self._checkpoints.wait()
                    raise Terminated(
                        f"terminated at step {self._step} of {self.job.steps}, which "
                        "is stored"
                    )
        self._checkpoints.wait()
        spent = seconds_before + time.perf_counter() - began
        return [self._record(place, spent) for place in range(len(self.job.seeds))]

    def line(self, content: Mapping[str, Any]) -> None:
        """Adds a line to metrics.jsonl, and to the event files where there are any."""
        self._directory.append_metrics(content)
        if self._events is not None:
            self._events.add(content)

    def _start(self) -> Position:
        """Where the run goes on, its metric lines up to there alone."""
        job = self.job
        start = job.start()
        position = self._checkpoints.restore(start, on_damage=self._progress.log)
        if position is None:
            none = [Totals.none() for _ in job.seeds]
            position = Position(0, start, none, [], 0.0)
        self._step = position.step
        for patience, note in zip(self._patience, position.notes, strict=False):
            for name, value in note.items():
                setattr(patience, name, value)
        self._progress.skip(position.step * len(job.seeds))
        self._directory.keep_metrics(
            lambda line: (
                line["arm"] != job.arm
                or (line["step"] <= position.step and line["split"] != "test")
            )
        )
        return position

    def _settled(self) -> bool:
        return all(patience.settled for patience in self._patience)

    def _advance(self, stepper: "_Stepper") -> bool:
        """Whether the epoch came to its end, or the run was asked to stop before."""
        job = self.job
        epoch = self._step // job.steps_per_epoch
        end = min((epoch + 1) * job.steps_per_epoch, job.steps)
        count, seen = 1, stepper.sums()
        while self._step < end:
            if self._asked_to_stop.is_set():
                return False
            count = self._profile.steps_until_change(
                self._step, min(count, end - self._step)
            )
            self._profile.at(self._step)
            pace = stepper.advance(self._step, count)
            self._step += count
            now = stepper.sums()
            self._refuse_divergence(stepper.diverged_at())
            loss, examples = now - seen
            seen = now
            self._progress.update(
                count * len(job.seeds), epoch=epoch + 1, loss=loss / examples
            )
            self._paces.append(pace)
            count = max(1, min(2 * count, round(SECONDS_PER_CALL / pace)))
        self._profile.at(self._step)
        return True

    def _refuse_divergence(self, steps: Sequence[int]) -> None:
        for seed, step in zip(self.job.seeds, steps, strict=True):
            if not step:
                continue
            self._checkpoints.wait()
            kept = self._checkpoints.last_step(seed)
            last = "none" if kept is None else f"that of step {kept}"
            raise UserError(
                "learning_rate",
                f"the loss of {self.job.arm}, seed {seed}, is not finite at step "
                f"{step}, at a peak rate of {self.job.recipe.learning_rate:g}; the "
                f"last good checkpoint is {last}",
            )

    def _end_epoch(
        self,
        states: Sequence[TrainState],
        totals: Sequence[Totals],
        stepper: "_Stepper",
    ) -> None:
        """Writes the epoch's lines, and scores each seed on what was held out."""
        job = self.job
        for seed, state, total, patience in zip(
            job.seeds, states, totals, self._patience, strict=True
        ):
            place = {
                "arm": job.arm,
                "seed": seed,
                "epoch": -(-self._step // job.steps_per_epoch),
                "step": self._step,
                "learning_rate": learning_rate(job.recipe, job.steps, self._step - 1),
            }
            self.line(
                {
                    **place,
                    "split": "train",
                    "loss": float(total.loss) / int(total.examples),
                    "accuracy": int(total.correct) / int(total.examples),
                    "seconds": stepper.epoch_seconds,
                }
            )
            held_out = job.split(seed)[1]
            if not len(held_out):
                continue
            began = time.perf_counter()
            score, _ = training.evaluate(
                job.task.model,
                state.result,
                stepper.data.scaling,
                job.dataset.train.images[held_out],
                job.dataset.train.labels[held_out],
            )
            self.line(
                {
                    **place,
                    "split": "validation",
                    **score._asdict(),
                    "seconds": time.perf_counter() - began,
                }
            )
            self._progress.update(0, accuracy=score.accuracy)
            patience.note(self._step, score.accuracy)

    def _save(
        self,
        states: Sequence[TrainState],
        totals: Sequence[Totals],
        seconds: float,
    ) -> None:
        notes = [dataclasses.asdict(patience) for patience in self._patience]
        scores = [
            patience.accuracy if patience.step == self._step else None
            for patience in self._patience
        ]
        self._checkpoints.save(
            Position(self._step, list(states), list(totals), notes, seconds), scores
        )

    def _record(self, place: int, seconds: float) -> dict[str, Any]:
        job, patience = self.job, self._patience[place]
        seed = job.seeds[place]
        stops = bool(job.recipe.patience)
        step = patience.step if stops else self._step
        validated = [
            line["accuracy"]
            for line in self._directory.metrics()
            if (line["arm"], line["seed"]) == (job.arm, seed)
            and (line["split"], line["step"]) == ("validation", step)
        ]
        net = self._checkpoints.net(seed, step)
        # The first call of a process pages memory in.
        paces = self._paces[1:] or self._paces
        return {
            "seed": seed,
            "steps": step,
            "learning_rate": job.recipe.learning_rate,
            "validation_accuracy": validated[-1] if validated else None,
            "params_hash": checkpoint.params_hash(net["params"]),
            "seconds": seconds / len(job.seeds),
            "step_seconds": float(np.median(paces)) if paces else None,
        }


class _Stepper:
    """A run's states on the device, in the engine's hands."""

    def __init__(self, job: Job, engine: Engine, position: Position):
        self._job = job
        self._engine = engine
        self.data = engine.place(job.data(), len(job.seeds))
        self._states = engine.pack(position.states)
        self._totals = engine.pack(position.totals)
        self._epoch: int | None = None
        self._order_of(position.step // job.steps_per_epoch)
        self.epoch_seconds = 0.0
        began = time.perf_counter()
        self._program = engine.compile(
            self._states, self._totals, self.data, self._orders
        )
        self.compile_seconds = time.perf_counter() - began

    def advance(self, step: int, count: int) -> float:
        """The seconds that each of `count` steps from `step` took."""
        epoch, first = divmod(step, self._job.steps_per_epoch)
        self._order_of(epoch)
        began = time.perf_counter()
        self._states, self._totals = self._program(
            self._states, self._totals, self.data, self._orders, first, count
        )
        jax.block_until_ready(self._totals)
        seconds = time.perf_counter() - began
        self.epoch_seconds += seconds
        return seconds / count

    def sums(self) -> np.ndarray:
        """The loss and the number of the examples of this epoch, over all seeds."""
        each = self._engine.unpack(self._totals)
        return np.sum([(t.loss, t.examples) for t in each], axis=0, dtype=np.float64)

    def diverged_at(self) -> list[int]:
        """For each seed the first step whose loss is not finite; 0 where all are."""
        return [int(t.diverged_at) for t in self._engine.unpack(self._totals)]

    def position(self) -> tuple[list[TrainState], list[Totals]]:
        """The states and sums of all seeds, on the host."""
        unpack = self._engine.unpack
        return unpack(self._states), unpack(self._totals)

    def clear(self) -> list[Totals]:
        """The sums at the beginning of an epoch, which this now has."""
        none = [Totals.none() for _ in self._job.seeds]
        self._totals = self._engine.pack(none)
        self.epoch_seconds = 0.0
        return [Totals.none() for _ in self._job.seeds]

    def _order_of(self, epoch: int) -> None:
        if epoch != self._epoch:
            self._orders = self._engine.pack(self._job.orders(epoch))
            self._epoch = epoch
