"""Trains the seeds of one net by a recipe, in a work directory that survives.

A checkpoint after every epoch holds all that the next step depends on, so that the same
command goes on from it to the same end. The metric lines up to a checkpoint are written
before it is; those after it are dropped when a run goes on from there, and made again.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from cnnlab.training.engines import Engine
from cnnlab.training.state import Totals, TrainState
from experiments.harness.event_files import EventFiles
from experiments.harness.first_step import FirstStep
from experiments.harness.preemption import Terminated, Termination
from experiments.harness.profiling import Profile
from experiments.harness.progress import Progress
from experiments.harness.workdir import WorkDirectory
from experiments.training import records, starting
from experiments.training.early_stopping import Stopping
from experiments.training.finite import NotFinite, fault_of_loss, fault_of_weights
from experiments.training.job import Job
from experiments.training.run_checkpoints import Position, RunCheckpoints
from experiments.training.run_clock import RunClock
from experiments.training.stepper import Stepper, mean_loss
from experiments.training.validation import Validation, validated


class TrainingRun:
    """A job's seeds, from their start or their last checkpoint to their end.

    Args:
        first_step: told of the first step of all runs that share it.

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
        first_step: FirstStep | None = None,
    ):
        self.job = job
        self.compile_seconds = 0.0
        self._checkpoints = checkpoints
        self._directory = directory
        self._progress = progress
        self._asked_to_stop = asked_to_stop
        self._profile = profile
        self._tensorboard = tensorboard
        self._first_step = first_step
        self._events: EventFiles | None = None
        self._clock = RunClock({})
        self._step = 0
        self._epoch_to_end = False
        self._stopping = Stopping(len(job.seeds), job.recipe.patience)

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
        self._tell(self._profile.missed(position.step, self._finished()))
        if not self._finished():
            with contextlib.closing(self._profile):
                self._steps(engine, position)
            self._tell(self._profile.unreached(self._step))
        self._checkpoints.wait()
        # All is stored that it takes.
        with self._asked_to_stop.at_once():
            return [self._record(place) for place in range(len(self.job.seeds))]

    def line(self, content: Mapping[str, Any]) -> None:
        """Adds a line to metrics.jsonl, and to the event files where there are any."""
        self._directory.append_metrics(content)
        if self._events is not None:
            self._events.add(content)

    def _tell(self, line: str | None) -> None:
        if line is not None:
            self._progress.log(line)

    def _start(self) -> Position:
        """Where the run goes on, its metric lines up to there alone."""
        job = self.job
        position = starting.position(job, self._checkpoints, self._progress.log)
        self._step = position.step
        self._clock = RunClock(position.facts)
        self._stopping.go_on(position.notes)
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
        self._clock.begin()
        saved = position.step
        while not self._finished():
            if not self._epoch_to_end:
                self._advance(stepper)
            states, totals = stepper.states(), stepper.totals()
            self._refuse([fault_of_weights(state, self._step) for state in states])
            validations = None
            if self._epoch_to_end:
                # What comes in the meantime does not: validating can take long.
                with contextlib.suppress(Terminated), self._asked_to_stop.at_once():
                    validations = self._validate(states, stepper)
                    self._epoch_to_end = False
            lined = validations is not None
            if lined:
                self._end_epoch(totals, validations, stepper.epoch_seconds)
            facts = self._clock.facts() | {"epoch_seconds": stepper.epoch_seconds}
            # Asked to stop at once, a run may have made no step since the last.
            if lined or self._step > saved:
                self._save(states, totals, lined, facts)
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
        ended = self._stopping.settled or self._step >= self.job.steps
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
            self._profile.before(self._step)
            pace = stepper.advance(self._step, count)
            self._step += count
            self._profile.after(self._step)
            if self._first_step is not None:
                self._tell(self._first_step.made())
            now = stepper.totals()
            self._refuse([fault_of_loss(each) for each in now])
            loss = mean_loss(self._that_count(now), self._that_count(seen))
            self._progress.update(count * len(job.seeds), epoch=epoch + 1, loss=loss)
            seen = now
            self._clock.note(pace)
            count = self._clock.steps_per_call(count)
        self._epoch_to_end = self._step == end

    def _that_count(self, seeds: Sequence[Any]) -> list[Any]:
        return self._stopping.that_count(self._step, seeds)

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
    ) -> list[Validation | None]:
        """Each seed's validation, where what it is now counts."""
        counting = self._that_count(self.job.seeds)
        found = []
        for seed, state in zip(self.job.seeds, states, strict=True):
            validation = None
            if seed in counting:
                validation = validated(self.job, seed, state, stepper.data.scaling)
            if validation is not None:
                self._progress.update(0, accuracy=validation.score.accuracy)
            found.append(validation)
        return found

    def _end_epoch(
        self,
        totals: Sequence[Totals],
        validations: Sequence[Validation | None],
        seconds: float,
    ) -> None:
        """Writes the epoch's lines."""
        job, seeds = self.job, zip(self.job.seeds, totals, validations, strict=True)
        for seed, total, validation in self._that_count(list(seeds)):
            for line in records.epoch_lines(
                job, seed, self._step, total, seconds, validation
            ):
                self.line(line)
        accuracies = [each and each.score.accuracy for each in validations]
        self._stopping.note(self._step, accuracies)

    def _save(
        self,
        states: Sequence[TrainState],
        totals: Sequence[Totals],
        lined: bool,
        facts: Mapping[str, Any],
    ) -> None:
        # A checkpoint must not outlive the lines before it.
        self._directory.flush_metrics()
        notes, scores = self._stopping.notes(), self._stopping.scores(self._step)
        self._checkpoints.save(
            Position(self._step, states, totals, lined, notes, facts), scores
        )

    def _record(self, place: int) -> dict[str, Any]:
        job = self.job
        seed = job.seeds[place]
        step = self._stopping[place].step if job.recipe.patience else self._step
        params = self._checkpoints.net(seed, step)["params"]
        lines = self._directory.metrics()
        return records.seed_record(job, seed, step, params, lines, self._clock)
