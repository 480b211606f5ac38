"""Scores the nets of a comparison on the test set, once all of them are trained."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnlab import training
from cnnlab.diagnostics.shifts import accuracy_under_shifts
from experiments.comparing.arms import Arm, Trained
from experiments.comparing.comparison import Comparison, scores_name


def score(
    comparison: Comparison,
    trained: Trained,
    *,
    shifts: Sequence[int],
    shift_examples: int,
) -> list[dict[str, Any]]:
    """The record of each of the arm's seeds, joined with what its net scores.

    Args:
        shifts: pixels to the right by which test images are moved.
        shift_examples: how many of them are, from the front.
    """
    joined = []
    for run in trained.runs:
        name = scores_name(trained.arm.spec, run["seed"])
        scores = comparison.directory.read_record(name)
        if scores is None or scores["params_hash"] != run["params_hash"]:
            scores = _scores(comparison, trained.arm, run, shifts, shift_examples)
            comparison.directory.write_record(name, scores)
        joined.append({**run, **scores, "seconds": run["seconds"] + scores["seconds"]})
    return joined


def _scores(
    comparison: Comparison,
    arm: Arm,
    run: dict[str, Any],
    shifts: Sequence[int],
    shift_examples: int,
) -> dict[str, Any]:
    began = time.perf_counter()
    seed, dataset = run["seed"], comparison.dataset
    net = comparison.net(arm, seed, run["steps"])
    predict = training.predictor(arm.model, net, comparison.scaling)
    test, train = dataset.test, dataset.train
    logits = predict(test.images)
    test_score = training.score(logits, test.labels)
    seen = _spread(comparison.split(seed)[0], len(test.labels))
    train_score = training.score(predict(train.images[seen]), train.labels[seen])
    moved = accuracy_under_shifts(
        predict,
        test.images[:shift_examples],
        test.labels[:shift_examples],
        [(0, shift) for shift in shifts],
    )
    comparison.directory.save_predictions(
        arm.spec,
        seed,
        logits=logits,
        labels=test.labels,
        index=np.arange(len(test.labels)),
        dataset_fingerprint=dataset.fingerprint,
    )
    seconds = time.perf_counter() - began
    comparison.line(
        arm,
        run["learning_rate"],
        seed,
        epoch=comparison.schedule.epochs,
        step=run["steps"],
        split="test",
        **test_score._asdict(),
        seconds=seconds,
    )
    return {
        "test_accuracy": test_score.accuracy,
        "test_loss": test_score.loss,
        "train_accuracy": train_score.accuracy,
        "shift_accuracy": moved.tolist(),
        "params_hash": run["params_hash"],
        "seconds": seconds,
    }


def _spread(index: np.ndarray, count: int) -> np.ndarray:
    """At most `count` entries, evenly spaced, as a set may be stored class by class.

    As many training as test images make both accuracies equally exact.
    """
    if count >= len(index):
        return index
    return index[np.linspace(0, len(index) - 1, count).round().astype(int)]
