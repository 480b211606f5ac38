"""Trains the runs of a transfer one after the other, and scores them at the end."""

from collections.abc import Sequence
from typing import Any

from cnnlab.errors import UserError
from cnnlab.training.checkpoint import params_hash
from experiments.harness import flags
from experiments.harness.first_step import FirstStep
from experiments.harness.preemption import Termination
from experiments.harness.profiling import Profile
from experiments.harness.progress import Progress
from experiments.harness.recipe_flags import identity_of
from experiments.harness.workdir import WorkDirectory
from experiments.training import engine_choice
from experiments.training import results as training_results
from experiments.training.run import TrainingRun
from experiments.training.run_checkpoints import RunCheckpoints
from experiments.training.whole_nets import fault_of_nets
from experiments.transferring.plan import Backbone
from experiments.transferring.sized_job import SizedJob


class TransferRuns:
    """Jobs in one work directory, each of which goes on where it was stopped.

    Args:
        began: from when the first step is timed, by `time.perf_counter`.

    Raises:
        UserError: the directory holds a run on other images, or from another backbone.
    """

    def __init__(
        self,
        config: Any,
        backbone: Backbone,
        directory: WorkDirectory,
        progress: Progress,
        asked_to_stop: Termination,
        began: float,
    ):
        self._config = config
        self._directory = directory
        self._progress = progress
        self._asked_to_stop = asked_to_stop
        self._first_step = FirstStep(began)
        self._compile_seconds = 0.0
        self._backbone = params_hash(backbone.net.variables)
        directory.keep_metrics(
            lambda line: (
                line["split"] != "test"
                or directory.read_record(_scores(line["arm"])) is not None
            )
        )

    def train(self, job: SizedJob) -> list[dict[str, Any]]:
        """The record of each seed, whose net is in its checkpoint of that step."""
        self._refuse_others(job)
        names = [f"{job.arm}-seed{seed}" for seed in job.seeds]
        records = [self._directory.read_record(name) for name in names]
        if None not in records and self._are_whole(job, records):
            self._progress.skip(job.steps * len(job.seeds))
            return records
        with self._asked_to_stop.at_once():
            engine = engine_choice.choose(
                self._config, self._directory, job, self._progress
            )
        with self._checkpoints(job) as checkpoints:
            self._progress.run(
                arm=job.arm,
                seed=job.seeds[0] if len(job.seeds) == 1 else None,
                epochs=job.epochs,
                note=f"{len(job.seeds)} seeds, engine {engine.name}",
            )
            run = self._run(job, checkpoints)
            records = run.train(engine)
        self._compile_seconds += run.compile_seconds
        for name, record in zip(names, records, strict=True):
            self._directory.write_record(name, record)
        return records

    def score(
        self, job: SizedJob, records: Sequence[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """The records with what the nets score on the test set."""
        name = _scores(job.arm)
        stored = self._directory.read_record(name)
        if stored is not None:
            return stored["seeds"]
        with self._checkpoints(job) as checkpoints:
            run = self._run(job, checkpoints)
            seeds = [
                training_results.score(record, run, checkpoints, self._directory)
                for record in records
            ]
        self._directory.write_record(name, {"seeds": seeds})
        return seeds

    def _are_whole(self, job: SizedJob, records: Sequence[dict[str, Any]]) -> bool:
        """Whether the nets of finished training can be scored, or are."""
        if self._directory.read_record(_scores(job.arm)) is not None:
            return True
        with self._asked_to_stop.at_once(), self._checkpoints(job) as checkpoints:
            fault = fault_of_nets(checkpoints, records)
        if fault is not None:
            self._progress.log(f"{fault}; it is made again")
        return fault is None

    def facts_of_start(self) -> dict[str, Any]:
        """What results.json says of the first step, and of compiling all runs'."""
        return self._first_step.facts() | {"compile_seconds": self._compile_seconds}

    def _run(self, job: SizedJob, checkpoints: RunCheckpoints) -> TrainingRun:
        return TrainingRun(
            job,
            checkpoints,
            directory=self._directory,
            progress=self._progress,
            asked_to_stop=self._asked_to_stop,
            profile=Profile(self._directory.path / "profile", None),
            first_step=self._first_step,
        )

    def _checkpoints(self, job: SizedJob) -> RunCheckpoints:
        return RunCheckpoints(
            self._directory,
            job.arm,
            job.seeds,
            job.scaling(),
            identity=flags.as_json(self._config, identity_only=True)
            | identity_of(job.recipe)
            | {"arm": job.arm, **self._given(job)},
            keep=self._config.keep,
        )

    def _given(self, job: SizedJob) -> dict[str, str]:
        return {
            "dataset_fingerprint": job.dataset.fingerprint,
            "backbone": self._backbone,
        }

    def _refuse_others(self, job: SizedJob) -> None:
        given = self._given(job)
        if self._directory.read_record("given") not in (None, given):
            raise UserError(
                "workdir",
                f"'{self._directory.path}' holds a run on other images or from "
                "another backbone of those names; --overwrite replaces it",
            )
        self._directory.write_record("given", given)


def _scores(arm: str) -> str:
    return f"{arm}-scores"
