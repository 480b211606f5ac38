"""What each factor adds: arms that differ in it alone, compared with one another."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.invariance import arms
from experiments.invariance.arms import Contrast, Setting

_FAMILIES = {
    "model": "pairs that differ in the model alone",
    "pool": "pairs that differ in the pool alone",
    "boundary": "pairs that differ in the boundary alone",
    "augment": "pairs that differ in the training images alone",
}


def families(named: Mapping[str, Setting]) -> dict[str, list[tuple[str, str]]]:
    """The pairs that differ in one factor alone, under a name for each factor.

    Holm's correction is over the pairs of one factor, for each metric: these questions
    are asked before anything is seen.
    """
    return {
        _FAMILIES[factor]: [(pair.a, pair.b) for pair in pairs]
        for factor, pairs in _by_factor(named).items()
    }


def contrasts(
    comparisons: Sequence[Mapping[str, Any]], named: Mapping[str, Setting]
) -> list[dict[str, Any]]:
    """The rows of `comparisons`, each with `factor`, `of` and `where` before it."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in comparisons:
        found.setdefault((row["a"], row["b"]), []).append(row)
    return [
        {"factor": factor, "of": pair.of, "where": pair.where, **row}
        for factor, pairs in _by_factor(named).items()
        for pair in pairs
        for row in found[pair.a, pair.b]
    ]


def _by_factor(named: Mapping[str, Setting]) -> dict[str, list[Contrast]]:
    found = {factor: arms.contrasts(named, factor) for factor in reversed(arms.FACTORS)}
    return {factor: pairs for factor, pairs in found.items() if pairs}
