"""Which differences between a comparison's arms are resolved, by everything stored."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnlab.statistics import compare, iso_compute, load_predictions, sentence
from experiments.harness.workdir import WorkDirectory


def judged(
    results: Mapping[str, Any],
    directory: WorkDirectory,
    *,
    metrics: Sequence[str],
    delta: float | None,
) -> dict[str, Any]:
    """`comparisons` and `iso_compute` for results.json; both empty for one arm.

    Each row of the comparisons has its `sentence` beside what `compare` gives; those of
    test accuracy have the bootstrap and McNemar's tests of the stored predictions.

    Args:
        metrics: numbers of every seed that are compared as well as test accuracy.
        delta: below which two arms count as equivalent; None asks no such question.
    """
    if len(results["arms"]) < 2:
        return {"comparisons": [], "iso_compute": []}
    predictions = load_predictions(directory.path, results)
    rows = compare(results, predictions, delta=delta)
    for metric in metrics:
        rows += compare(results, metric=metric, delta=delta)
    return {
        "comparisons": [{**row, "sentence": sentence(row)} for row in rows],
        "iso_compute": iso_compute(
            results, metrics=["test_accuracy", *metrics], delta=delta
        ),
    }
