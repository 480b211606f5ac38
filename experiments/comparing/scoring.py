"""Scores the nets of a comparison on the test set, once all of them are trained."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from cnnlab import training
from experiments.comparing import record_names
from experiments.comparing.comparison import Comparison
from experiments.comparing.measure import Measure
from experiments.comparing.rated_job import RatedJob
from experiments.comparing.trials import Trained
from experiments.harness.workdir import WorkDirectory
from experiments.training import results as training_results
from experiments.training.run_checkpoints import RunCheckpoints

# Shorter batches are filled up, and measures may ask for few images many times.
_ASKED_AT_ONCE = 128


def score(
    comparison: Comparison, trained: Trained, measures: Sequence[Measure]
) -> list[dict[str, Any]]:
    """The record of each of the arm's seeds, joined with what its net scores.

    What each measure found stands in `measured` too, by the measure's name. What has
    been stored of a net is not asked again.
    """
    job = comparison.job(trained.planned, trained.learning_rate)
    directory = comparison.directory
    with comparison.checkpoints(job, trained.name) as checkpoints:
        run = comparison.training_run(job, checkpoints)
        joined = []
        for record in trained.runs:
            scored = _stored(
                directory,
                record_names.of_scores(job.arm, record["seed"]),
                record,
                lambda record=record: training_results.score(
                    record, run, checkpoints, directory
                ),
            )
            found = [
                _measured(each, record, job, checkpoints, directory)
                for each in measures
            ]
            asked = sum(each.pop("asked_seconds") for each in [scored, *found])
            joined.append({**record, **scored})
            for each in found:
                joined[-1] |= each
            names = [measure.name for measure in measures]
            joined[-1]["measured"] = dict(zip(names, found, strict=True))
            joined[-1]["seconds"] = record["seconds"] + asked
    return joined


def drop_unfinished(directory: WorkDirectory) -> None:
    """Removes the test lines of nets whose scores were not stored; they come again."""

    def scored(line: Mapping[str, Any]) -> bool:
        name = record_names.of_scores(line["arm"], line["seed"])
        return directory.read_record(name) is not None

    directory.keep_metrics(lambda line: line["split"] != "test" or scored(line))


def _measured(
    measure: Measure,
    record: dict[str, Any],
    job: RatedJob,
    checkpoints: RunCheckpoints,
    directory: WorkDirectory,
) -> dict[str, Any]:
    def ask() -> dict[str, Any]:
        net = checkpoints.net(record["seed"], record["steps"])
        predict = training.predictor(
            job.task.model, net, job.scaling(), batch_size=_ASKED_AT_ONCE
        )
        return measure.of_net(predict, job.dataset)

    name = record_names.of_measure(job.arm, record["seed"], measure.name)
    return _stored(directory, name, record, ask)


def _stored(directory: WorkDirectory, name: str, record, ask) -> dict[str, Any]:
    """What is stored of the record's net by that name, or else asked now."""
    stored = directory.read_record(name)
    if stored is None or stored["params_hash"] != record["params_hash"]:
        began = time.perf_counter()
        found = ask()
        stored = {
            "params_hash": record["params_hash"],
            "found": found,
            "asked_seconds": time.perf_counter() - began,
        }
        directory.write_record(name, stored)
    return {**stored["found"], "asked_seconds": stored["asked_seconds"]}
