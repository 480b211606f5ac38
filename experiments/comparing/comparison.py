"""Trains the arms of a comparison: rates chosen on validation, then every seed.

The seeds of an arm at a rate are one training run, which goes on from its last
checkpoint. It leaves a record of each seed when it is finished, which holds where the
nets are whole; where one is not they are trained on from the last position that is. The
test set is not touched here; `scoring` reads it once all arms are trained.
"""

import dataclasses
import os
import shutil
import time
from collections.abc import Sequence
from typing import Any

from cnnlab import training
from cnnlab.errors import UserError
from cnnlab.run_layout import checkpoints as checkpoints_of
from cnnlab.training.engines import candidates
from experiments.comparing import record_names
from experiments.comparing.comparison_flags import ComparisonFlags
from experiments.comparing.plan import PlannedArm
from experiments.comparing.rated_job import OnceCompiled, RatedJob
from experiments.comparing.trials import Rate, Trained, best
from experiments.harness import flags
from experiments.harness.first_step import FirstStep
from experiments.harness.preemption import Termination
from experiments.harness.profiling import Profile
from experiments.harness.progress import Progress
from experiments.harness.recipe_flags import identity_of
from experiments.harness.storage import make_directory, storing
from experiments.harness.workdir import WorkDirectory
from experiments.training import engine_choice
from experiments.training.finite import NotFinite
from experiments.training.run import TrainingRun
from experiments.training.run_checkpoints import RunCheckpoints
from experiments.training.whole_nets import fault_of_nets


class Comparison:
    """Trains arms on one data set, keeping everything in a work directory.

    Args:
        began: from when the first step is timed, by `time.perf_counter`.

    Raises:
        UserError: the directory holds a run on other images.
    """

    def __init__(
        self,
        config: ComparisonFlags,
        arms: Sequence[PlannedArm],
        directory: WorkDirectory,
        progress: Progress,
        asked_to_stop: Termination,
        began: float,
    ):
        self.directory = directory
        self._config = config
        self._progress = progress
        self._asked_to_stop = asked_to_stop
        self._first_step = FirstStep(began)
        self._compile_seconds = 0.0
        job = arms[0].plan.job
        self._refuse_other_images(job.dataset)
        self._images = training.resident(job.dataset.train, job.scaling())
        with asked_to_stop.at_once():
            self._engine_name = engine_choice.choose(
                config, directory, job, progress
            ).name
        self._engines: dict[tuple[str, str], OnceCompiled] = {}

    def train(self, planned: PlannedArm) -> Trained:
        """The arm at the rate that validation chooses, trained with every seed.

        Raises:
            UserError: at every rate, or for one seed at the best, the loss is not
                finite.
            Terminated: SIGTERM came; everything is stored.
        """
        trials = {}
        if planned.tries_rates:
            trials = {rate: self._try(planned, rate) for rate in planned.rates}
        rates = tuple(
            Rate(
                rate,
                tuple(each["validation_accuracy"] for each in trials.get(rate, ())),
            )
            for rate in planned.rates
        )
        chosen = best(planned, rates)
        self._take(planned, chosen)
        name, runs = planned.arm.name, list(trials.get(chosen, ()))
        try:
            if runs:
                job = self.job(planned, chosen, planned.tried_seeds)
                runs = self._mended(job, name, runs)
            if planned.last_seeds:
                job = self.job(planned, chosen, planned.last_seeds)
                runs += self._mended(job, name, self._run(job, name))
        except NotFinite as error:
            raise UserError("learning_rates", error.message) from error
        others = (each for rate in trials if rate != chosen for each in trials[rate])
        seconds = sum(each["seconds"] for each in [*runs, *others])
        return Trained(planned, chosen, rates, tuple(runs), seconds)

    def job(
        self, planned: PlannedArm, rate: float, seeds: Sequence[int] | None = None
    ) -> RatedJob:
        """The training of the arm at a rate, with all seeds or some."""
        whole = planned.plan.job
        fields = {
            field.name: getattr(whole, field.name)
            for field in dataclasses.fields(whole)
        }
        fields["recipe"] = dataclasses.replace(whole.recipe, learning_rate=rate)
        fields["seeds"] = whole.seeds if seeds is None else tuple(seeds)
        return RatedJob(**fields, images=self._images)

    def checkpoints(self, job: RatedJob, place: str) -> RunCheckpoints:
        """Those of the job's seeds, in the directory of that name."""
        return RunCheckpoints(
            self.directory,
            place,
            job.seeds,
            job.scaling(),
            identity=flags.as_json(self._config, identity_only=True)
            | identity_of(job.recipe)
            | {"arm": job.arm, "dataset_fingerprint": job.dataset.fingerprint},
            keep=self._config.keep,
        )

    def training_run(self, job: RatedJob, checkpoints: RunCheckpoints) -> TrainingRun:
        """The run that trains the job."""
        return TrainingRun(
            job,
            checkpoints,
            directory=self.directory,
            progress=self._progress,
            asked_to_stop=self._asked_to_stop,
            profile=Profile(self.directory.path / "profile", None),
            first_step=self._first_step,
        )

    def facts_of_start(self) -> dict[str, Any]:
        """What results.json says of the first step, and of compiling all arms'."""
        return self._first_step.facts() | {"compile_seconds": self._compile_seconds}

    def _try(self, planned: PlannedArm, rate: float) -> list[dict[str, Any]]:
        """The record of each seed that a rate is tried on; none has one that failed."""
        job = self.job(planned, rate, planned.tried_seeds)
        began = time.perf_counter()
        try:
            return self._run(job, _trial(planned, rate))
        except NotFinite as error:
            self._progress.log(f"{error.message}; this rate is given up")
        records = [
            {
                "seed": seed,
                "steps": None,
                "learning_rate": rate,
                "validation_accuracy": None,
                "seconds": (time.perf_counter() - began) / len(job.seeds),
            }
            for seed in job.seeds
        ]
        self._keep(job, records)
        return records

    def _run(self, job: RatedJob, place: str) -> list[dict[str, Any]]:
        """The record of each seed, once trained."""
        read = self.directory.read_record
        stored = [read(record_names.of_training(job, seed)) for seed in job.seeds]
        if None in stored:
            return self._train(job, place)
        self._progress.skip(job.steps * len(job.seeds))
        return stored

    def _mended(
        self, job: RatedJob, place: str, records: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """The records of seeds whose nets are whole, trained anew where one is not."""
        with self._asked_to_stop.at_once(), self.checkpoints(job, place) as checkpoints:
            fault = fault_of_nets(checkpoints, records)
        if fault is None:
            return records
        self._progress.log(f"{fault}; it is made again")
        # Its steps come once more, and so do the lines of what its nets score.
        self._progress.skip(-job.steps * len(job.seeds))
        for seed in job.seeds:
            self.directory.drop_record(record_names.of_scores(job.arm, seed))
        return self._train(job, place)

    def _train(self, job: RatedJob, place: str) -> list[dict[str, Any]]:
        engine = self._engine(job)
        with self.checkpoints(job, place) as checkpoints:
            rate, many = job.recipe.learning_rate, len(job.seeds) > 1
            together = f", {len(job.seeds)} seeds, engine {engine.name}" if many else ""
            self._progress.run(
                arm=job.arm,
                seed=None if many else job.seeds[0],
                epochs=job.epochs,
                note=f"rate {rate:g}{together}",
            )
            run = self.training_run(job, checkpoints)
            try:
                records = run.train(engine)
            finally:
                self._compile_seconds += run.compile_seconds
        self._keep(job, records)
        return records

    def _keep(self, job: RatedJob, records: Sequence[dict[str, Any]]) -> None:
        for record in records:
            name = record_names.of_training(job, record["seed"])
            self.directory.write_record(name, record)

    def _take(self, planned: PlannedArm, chosen: float) -> None:
        """Gives the nets of the chosen rate their place, and removes the others."""
        root, name = self.directory.path, planned.arm.name
        for seed in planned.tried_seeds:
            tried = checkpoints_of(root, _trial(planned, chosen), seed)
            place = checkpoints_of(root, name, seed)
            make_directory(place.parent)
            with storing(place):
                if tried.exists() and not place.exists():
                    os.rename(tried, place)
        for rate in planned.rates if planned.tries_rates else ():
            leftover = checkpoints_of(root, _trial(planned, rate), 0).parent
            shutil.rmtree(leftover, ignore_errors=True)

    def _engine(self, job: RatedJob) -> OnceCompiled:
        """The run's engine; a loop where it does not serve, as for one seed.

        All devices share that loop's batches where they can evenly.
        """
        serving = {each.name: each for each in candidates(job.task, len(job.seeds))}
        name = self._engine_name if self._engine_name in serving else "loop"
        made = OnceCompiled.of(serving[name])
        return self._engines.setdefault((job.arm, name), made)

    def _refuse_other_images(self, dataset) -> None:
        fingerprint = {"fingerprint": dataset.fingerprint}
        if self.directory.read_record("dataset") not in (None, fingerprint):
            raise UserError(
                "workdir",
                f"'{self.directory.path}' holds a run on other images of the name "
                f"{dataset.name}; --overwrite replaces it",
            )
        self.directory.write_record("dataset", fingerprint)


def _trial(planned: PlannedArm, rate: float) -> str:
    """The name under which a rate's checkpoints are kept until one is chosen."""
    return f"{planned.arm.name} at rate {float(rate)!r}"
