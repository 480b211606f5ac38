"""What each factor adds: arms that differ in it alone, compared with one another."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnlab.statistics import compare
from experiments.invariance import arms
from experiments.invariance.arms import Setting


def contrasts(
    results: Mapping[str, Any],
    named: Mapping[str, Setting],
    metrics: Sequence[str],
    delta: float | None,
) -> list[dict[str, Any]]:
    """The rows of `compare` for every pair that differs in one factor alone.

    Each has `factor`, `of` and `where` beside it. Holm's correction is over the pairs
    of one factor, for each metric: these questions are asked before anything is seen.
    """
    rows = []
    for factor in reversed(arms.FACTORS):
        pairs = arms.contrasts(named, factor)
        for metric in metrics if pairs else ():
            found = compare(
                results,
                metric=metric,
                delta=delta,
                pairs=[(pair.a, pair.b) for pair in pairs],
            )
            rows += [
                {"factor": factor, "of": pair.of, "where": pair.where, **row}
                for pair, row in zip(pairs, found, strict=True)
            ]
    return rows
