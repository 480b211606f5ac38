"""Scores the nets of a training run on the test set, and writes down what it found."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnlab import training
from cnnlab.statistics import mean_interval
from experiments.harness.workdir import WorkDirectory
from experiments.training.job import Job
from experiments.training.plan import Plan
from experiments.training.run import TrainingRun
from experiments.training.run_checkpoints import RunCheckpoints

_OVER_SEEDS = ("test_accuracy", "train_accuracy", "validation_accuracy")


def score(
    record: dict[str, Any],
    run: TrainingRun,
    checkpoints: RunCheckpoints,
    directory: WorkDirectory,
) -> dict[str, Any]:
    """A seed's record, with what its net scores; its predictions are stored."""
    job, seed = run.job, record["seed"]
    dataset = job.dataset
    net = checkpoints.net(seed, record["steps"])
    predict = training.predictor(job.task.model, net, job.scaling())
    logits = predict(dataset.test.images)
    tested = training.score(logits, dataset.test.labels, loss=job.recipe.loss)
    # As many training as test images make both accuracies equally exact.
    seen = job.split(seed)[0]
    some = np.linspace(0, len(seen) - 1, min(len(seen), len(dataset.test.labels)))
    seen = seen[some.round().astype(int)]
    trained = training.score(
        predict(dataset.train.images[seen]), dataset.train.labels[seen]
    )
    directory.save_predictions(
        job.arm,
        seed,
        logits=logits,
        labels=dataset.test.labels,
        index=np.arange(len(dataset.test.labels)),
        dataset_fingerprint=dataset.fingerprint,
    )
    run.line(
        {
            **job.labels(),
            "seed": seed,
            "epoch": -(-record["steps"] // job.steps_per_epoch),
            "step": record["steps"],
            "learning_rate": record["learning_rate"],
            "split": "test",
            **tested._asdict(),
            "seconds": record["seconds"],
        }
    )
    return {
        **record,
        "test_accuracy": tested.accuracy,
        "test_loss": tested.loss,
        "train_accuracy": trained.accuracy,
    }


def arm(plan: Plan, model: str, seeds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The row of results.json for a net, from its scored seeds."""
    gaps = [seed["train_accuracy"] - seed["test_accuracy"] for seed in seeds]
    return {
        "name": plan.job.arm,
        "spec": plan.job.arm,
        "model": model,
        "options": plan.options,
        "parameters": plan.parameters,
        "macs": plan.macs,
        **{name: _interval([seed[name] for seed in seeds]) for name in _OVER_SEEDS},
        "gap": _interval(gaps),
        "step_seconds": seeds[0]["step_seconds"],
        "learning_rate": seeds[0]["learning_rate"],
        "seeds": list(seeds),
    }


def notes(job: Job) -> list[str]:
    """Sentences on what the numbers of a job's seeds depend on."""
    if not job.recipe.patience or len(job.seeds) == 1:
        return []
    return [
        "A seed's curve ends where early stopping has settled it; means of later "
        "epochs are over the others."
    ]


def dataset(job: Job) -> dict[str, Any]:
    """What results.json says of the images."""
    images = job.dataset
    trained, held_out = job.split(job.seeds[0])
    return {
        "name": images.name,
        "summary": images.summary(),
        "fingerprint": images.fingerprint,
        "train": len(trained),
        "validation": len(held_out),
        "test": len(images.test.labels),
        "image_shape": images.image_shape,
        "class_names": images.class_names,
    }


def _interval(values: Sequence[float | None]) -> dict[str, Any] | None:
    return None if None in values else mean_interval(values)._asdict()
