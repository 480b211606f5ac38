"""Which differences between a comparison's arms are resolved, by everything stored."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnlab.statistics import compare, iso_compute, load_predictions, sentence
from experiments.harness.workdir import WorkDirectory

Families = Mapping[str, Sequence[tuple[str, str]]]
"""Pairs of arms that Holm adjusts for together, by what they are called."""


def judged(
    results: Mapping[str, Any],
    directory: WorkDirectory,
    *,
    metrics: Sequence[str],
    delta: float | None,
    families: Families | None = None,
) -> dict[str, Any]:
    """`comparisons` and `iso_compute` for results.json; both empty where no arms pair.

    Each row of the comparisons has its `sentence` and `family` beside what `compare`
    gives; those of test accuracy have the bootstrap and McNemar's tests of the stored
    predictions. A pair has one row for each metric, whose verdict `iso_compute` takes.

    Args:
        metrics: numbers of every seed that are compared as well as test accuracy.
        delta: below which two arms count as equivalent; None asks no such question.
        families: the pairs that are compared, each in one family alone; None is all,
            as one.
    """
    if families is None:
        families = {"all pairs": None}
    if len(results["arms"]) < 2 or not families:
        return {"comparisons": [], "iso_compute": []}
    predictions = load_predictions(directory.path, results)
    metrics = ["test_accuracy", *metrics]
    rows = [
        {**row, "sentence": sentence(row), "family": family}
        for metric in metrics
        for family, pairs in families.items()
        for row in compare(
            results,
            predictions if metric == "test_accuracy" else None,
            metric=metric,
            delta=delta,
            pairs=pairs,
        )
    ]
    return {
        "comparisons": rows,
        "iso_compute": iso_compute(
            results, metrics=metrics, comparisons=rows, delta=delta
        ),
    }
