"""Trains the seeds of one net by a recipe, in a work directory that survives.

A checkpoint after every epoch holds all that the next step depends on, so that the same
command goes on from it to the same end. The metric lines up to a checkpoint are written
before it is; those after it are dropped when a run goes on from there, and made again.
"""

import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from cnnlab import training
from cnnlab.training import checkpoint
from cnnlab.training.engines import Engine
from cnnlab.training.evaluation import Score
from cnnlab.training.optimizer import learning_rate
from cnnlab.training.state import Totals, TrainState
from experiments.harness.event_files import EventFiles
from experiments.harness.preemption import Terminated, Termination
from experiments.harness.profiling import Profile
from experiments.harness.progress import Progress
from experiments.harness.workdir import WorkDirectory
from experiments.training.early_stopping import Patience
from experiments.training.finite import NotFinite, fault_of_loss, fault_of_weights
from experiments.training.job import Job
from experiments.training.run_checkpoints import Position, RunCheckpoints
from experiments.training.stepper import Stepper, mean_loss

# Progress is told, and SIGTERM and a loss that is not finite are seen, this often.
SECONDS_PER_CALL = 0.25


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
        asked_to_stop: Termination,
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
        self._epoch_to_end = False
        self._seconds = 0.0
        self._step_seconds: float | None = None
        self._paces: list[float] = []
        self._patience = [Patience(job.recipe.patience) for _ in job.seeds]

    def train(self, engine: Engine) -> list[dict[str, Any]]:
        """The record of each seed, whose net is in its checkpoint of that step.

        Raises:
            NotFinite: a loss or the weights of a seed are not.
            UserError: something cannot be stored or read.
            Terminated: SIGTERM came; everything is stored.
        """
        with self._asked_to_stop.at_once():
            position = self._start()
        if self._tensorboard:
            folder = self._directory.path / "tensorboard"
            self._events = EventFiles(folder, self._directory.metrics())
        if not self._finished():
            with contextlib.closing(self._profile):
                self._steps(engine, position)
        self._checkpoints.wait()
        return [self._record(place) for place in range(len(self.job.seeds))]

    def line(self, content: Mapping[str, Any]) -> None:
        """Adds a line to metrics.jsonl, and to the event files where there are any."""
        self._directory.append_metrics(content)
        if self._events is not None:
            self._events.add(content)

    def _start(self) -> Position:
        """Where the run goes on, its metric lines up to there alone."""
        job = self.job
        shapes = jax.eval_shape(lambda: job.start())
        begun = self._checkpoints.begun
        position = self._checkpoints.restore(
            shapes,
            on_damage=self._progress.log,
            # A best net that is lost is better known now than at the end.
            needed=lambda notes: notes["step"] if job.recipe.patience else 0,
        )
        if position is None:
            if begun:
                self._progress.log(
                    "no whole checkpoint is left of every seed; the run begins anew"
                )
            none = [Totals.none() for _ in job.seeds]
            notes = [{}] * len(job.seeds)
            position = Position(0, job.start(), none, True, notes, {})
        else:
            self._progress.log(f"goes on from step {position.step:,} of {job.steps:,}")
            if missed := self._profile.missed(position.step):
                self._progress.log(missed)
        self._step = position.step
        self._seconds = position.facts.get("seconds", 0.0)
        self._step_seconds = position.facts.get("step_seconds")
        for patience, note in zip(self._patience, position.notes, strict=True):
            for name, value in note.items():
                setattr(patience, name, value)
        self._progress.skip(position.step * len(job.seeds))
        self._progress.update(0, epoch=job.epoch(position.step))
        self._epoch_to_end = job.ends_epoch(position.step) and not position.lined
        last = position.step - self._epoch_to_end
        self._directory.keep_metrics(
            lambda line: (
                not job.owns(line) or (line["step"] <= last and line["split"] != "test")
            )
        )
        return position

    def _steps(self, engine: Engine, position: Position) -> None:
        """Trains to the end."""
        with self._asked_to_stop.at_once():
            stepper = Stepper(self.job, engine, position)
        self.compile_seconds = stepper.compile_seconds
        # Runs that share a program find it made.
        if self.compile_seconds >= 0.05:
            self._progress.log(f"compiling a step took {self.compile_seconds:.1f} s")
        began = time.perf_counter() - self._seconds
        saved = position.step
        while not self._finished():
            if not self._epoch_to_end:
                self._advance(stepper)
            states, totals = stepper.states(), stepper.totals()
            self._refuse([fault_of_weights(state, self._step) for state in states])
            scores = None
            if self._epoch_to_end:
                # What comes in the meantime does not: validating can take long.
                with contextlib.suppress(Terminated), self._asked_to_stop.at_once():
                    scores = self._validate(states, stepper)
                    self._epoch_to_end = False
            lined = scores is not None
            if lined:
                self._end_epoch(totals, scores, stepper.epoch_seconds)
            self._seconds = time.perf_counter() - began
            # Asked to stop at once, a run may have made no step since the last.
            if lined or self._step > saved:
                self._save(states, totals, lined, stepper.epoch_seconds)
                saved = self._step
            if self._asked_to_stop.is_set():
                self._checkpoints.wait()
                if not self._step:
                    raise Terminated("terminated before the first step")
                raise Terminated(
                    f"terminated at step {self._step:,} of {self.job.steps:,}, which "
                    "is stored"
                )
            stepper.clear()

    def _finished(self) -> bool:
        """Whether every seed has its result, and the last epoch its lines."""
        settled = all(patience.settled for patience in self._patience)
        ended = settled or self._step >= self.job.steps
        return ended and not self._epoch_to_end

    def _advance(self, stepper: Stepper) -> None:
        """Comes to the end of the epoch, or to where the run is asked to stop."""
        job = self.job
        epoch = self._step // job.steps_per_epoch
        end = min((epoch + 1) * job.steps_per_epoch, job.steps)
        count, seen = 1, stepper.totals()
        while self._step < end and not self._asked_to_stop.is_set():
            count = self._profile.steps_until_change(
                self._step, min(count, end - self._step)
            )
            self._profile.at(self._step)
            pace = stepper.advance(self._step, count)
            self._step += count
            now = stepper.totals()
            self._refuse([fault_of_loss(each) for each in now])
            loss = mean_loss(self._that_count(now), self._that_count(seen))
            self._progress.update(count * len(job.seeds), epoch=epoch + 1, loss=loss)
            seen = now
            self._paces.append(pace)
            count = max(1, min(2 * count, round(SECONDS_PER_CALL / pace)))
        self._profile.at(self._step)
        self._epoch_to_end = self._step == end

    def _that_count(self, seeds: Sequence[Any]) -> list[Any]:
        """Those of the seeds whose results what they do now can still change."""
        return [
            each
            for each, patience in zip(seeds, self._patience, strict=True)
            if patience.counts_at(self._step)
        ]

    def _refuse(self, faults: Sequence[str | None]) -> None:
        """Raises a NotFinite for the first seed that has a fault, and counts."""
        found = zip(self.job.seeds, faults, strict=True)
        for seed, fault in self._that_count(list(found)):
            if fault is None:
                continue
            self._checkpoints.wait()
            last = self._checkpoints.last(seed)
            raise NotFinite(
                "learning_rate",
                f"{fault} of {self.job.arm}, seed {seed}, at a peak rate of "
                f"{self.job.recipe.learning_rate:g}; the last good checkpoint is "
                f"{'none' if last is None else last}",
            )

    def _validate(
        self, states: Sequence[TrainState], stepper: Stepper
    ) -> list[tuple[Score, float] | None]:
        """Each seed's score on what was held out, and the seconds that it took."""
        job, scores = self.job, []
        for seed, state, patience in zip(
            job.seeds, states, self._patience, strict=True
        ):
            held_out = job.split(seed)[1]
            if not len(held_out) or not patience.counts_at(self._step):
                scores.append(None)
                continue
            began = time.perf_counter()
            score, _ = training.evaluate(
                job.task.model,
                state.result,
                stepper.data.scaling,
                job.dataset.train.images[held_out],
                job.dataset.train.labels[held_out],
                loss=job.recipe.loss,
            )
            scores.append((score, time.perf_counter() - began))
            self._progress.update(0, accuracy=score.accuracy)
        return scores

    def _end_epoch(
        self,
        totals: Sequence[Totals],
        scores: Sequence[tuple[Score, float] | None],
        seconds: float,
    ) -> None:
        """Writes the epoch's lines."""
        job = self.job
        seeds = list(zip(job.seeds, totals, scores, self._patience, strict=True))
        for seed, total, scored, patience in self._that_count(seeds):
            place = {
                **job.labels(),
                "seed": seed,
                "epoch": job.epoch(self._step),
                "step": self._step,
                "learning_rate": learning_rate(job.recipe, job.steps, self._step - 1),
            }
            examples = int(total.examples)
            self.line(
                {
                    **place,
                    "split": "train",
                    "loss": float(total.loss) / examples,
                    "accuracy": int(total.correct) / examples,
                    "seconds": seconds,
                }
            )
            if scored is not None:
                score, taken = scored
                self.line(
                    {
                        **place,
                        "split": "validation",
                        **score._asdict(),
                        "seconds": taken,
                    }
                )
                patience.note(self._step, score.accuracy)

    def _save(
        self,
        states: Sequence[TrainState],
        totals: Sequence[Totals],
        lined: bool,
        epoch_seconds: float,
    ) -> None:
        notes = [dataclasses.asdict(patience) for patience in self._patience]
        scores = [
            patience.accuracy if patience.step == self._step else None
            for patience in self._patience
        ]
        # The first call of a process pages memory in.
        paces = self._paces[1:] or self._paces
        if paces:
            self._step_seconds = float(np.median(paces))
        facts = {
            "seconds": self._seconds,
            "step_seconds": self._step_seconds,
            "epoch_seconds": epoch_seconds,
        }
        # A checkpoint must not outlive the lines before it.
        self._directory.flush_metrics()
        self._checkpoints.save(
            Position(self._step, states, totals, lined, notes, facts), scores
        )

    def _record(self, place: int) -> dict[str, Any]:
        job, patience = self.job, self._patience[place]
        seed = job.seeds[place]
        step = patience.step if job.recipe.patience else self._step
        validated = [
            line["accuracy"]
            for line in self._directory.metrics()
            if job.owns(line)
            and (line["seed"], line["split"], line["step"])
            == (seed, "validation", step)
        ]
        net = self._checkpoints.net(seed, step)
        return {
            "seed": seed,
            "steps": step,
            "learning_rate": job.recipe.learning_rate,
            "validation_accuracy": validated[-1] if validated else None,
            "params_hash": checkpoint.params_hash(net["params"]),
            # Seeds that are trained together are timed together.
            "seconds": self._seconds / len(job.seeds),
            "step_seconds": self._step_seconds and self._step_seconds / len(job.seeds),
        }
