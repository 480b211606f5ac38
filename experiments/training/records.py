"""What is written down of a run: the lines of an epoch, and what a seed came to."""

from collections.abc import Iterable, Mapping
from typing import Any

from cnnlab.training.checkpoint import params_hash
from cnnlab.training.optimizer import learning_rate
from cnnlab.training.state import Totals
from experiments.training.job import Job
from experiments.training.run_clock import RunClock
from experiments.training.validation import Validation


def epoch_lines(
    job: Job,
    seed: int,
    step: int,
    total: Totals,
    seconds: float,
    validation: Validation | None,
) -> list[dict[str, Any]]:
    """A seed's lines of metrics.jsonl for the epoch, or part of one, up to `step`.

    Args:
        total: over the examples of the epoch.
        seconds: that its steps took, of all seeds that are trained together.
    """
    place = {
        **job.labels(),
        "seed": seed,
        "epoch": job.epoch(step),
        "step": step,
        "learning_rate": learning_rate(job.recipe, job.steps, step - 1),
    }
    examples = int(total.examples)
    trained = {
        **place,
        "split": "train",
        "loss": float(total.loss) / examples,
        "accuracy": int(total.correct) / examples,
        "seconds": seconds,
    }
    if validation is None:
        return [trained]
    return [
        trained,
        {
            **place,
            "split": "validation",
            **validation.score._asdict(),
            "seconds": validation.seconds,
        },
    ]


def seed_record(
    job: Job,
    seed: int,
    step: int,
    params: Any,
    lines: Iterable[Mapping[str, Any]],
    clock: RunClock,
) -> dict[str, Any]:
    """What training a seed came to, before its net is scored on the test set.

    Args:
        step: of the net that counts, whose parameters are `params`.
        lines: of metrics.jsonl.
    """
    place = seed, "validation", step
    validated = [
        line["accuracy"]
        for line in lines
        if job.owns(line) and (line["seed"], line["split"], line["step"]) == place
    ]
    return {
        "seed": seed,
        "steps": step,
        "learning_rate": job.recipe.learning_rate,
        "validation_accuracy": validated[-1] if validated else None,
        "params_hash": params_hash(params),
        # Seeds that are trained together are timed together.
        "seconds": clock.seconds / len(job.seeds),
        "step_seconds": clock.step_seconds and clock.step_seconds / len(job.seeds),
    }
