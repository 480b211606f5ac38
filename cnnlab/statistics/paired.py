"""Which of several arms differ, when each was trained with the same seeds."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import stdtr, stdtrit

from cnnlab.statistics.intervals import (
    check_confidence,
    deviation,
    finite_vector,
    mean_interval,
    student,
)

POWER = 0.8


def compare_pairs(
    arms: Mapping[str, Sequence[float]],
    *,
    metric: str = "test_accuracy",
    confidence: float = 0.95,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> list[dict]:
    """One row for every pair of arms, in the arms' order, paired by seed.

    Args:
        arms: the metric of each arm, one value a seed, seeds in one order for all.
        metric: the name that the rows carry.
        confidence: of the intervals; a pair is resolved at level 1 - confidence.
        pairs: those that are compared; None is all.

    Each row holds `a`, `b`, `metric` and
        difference: the mean over seeds of a - b: positive where a is higher.
        low, high: Student's interval of that mean, for this pair alone.
        p: two-sided paired t-test; 1 for identical arms, 0 where a and b differ by
            the same amount at every seed.
        p_holm: p adjusted by Holm over all the pairs.
        verdict: "resolved" where p_holm < 1 - confidence, else "not resolved".
        seeds_needed: the smallest n >= 2 with
            n >= ((t[1 - level/2] + t[0.8]) * deviation / |difference|)^2,
            t of n - 1 degrees of freedom, level = (1 - confidence) / (number of
            pairs), Holm's strictest step: with n seeds a true difference of the
            observed size is resolved with a chance of about 80 %, whatever the other
            pairs do. None where the difference is 0.
    With one seed low, high, p, p_holm and seeds_needed are None, nothing resolved.

    Raises:
        ValueError: arms of unequal or zero length, or a value that is not finite.
    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    check_confidence(confidence)
    values = {name: finite_vector(arm, name) for name, arm in arms.items()}
    lengths = {name: arm.size for name, arm in values.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"arms of unequal numbers of seeds {lengths}; pairs need one")

    if pairs is None:
        pairs = list(itertools.combinations(values, 2))
    level = (1 - confidence) / max(len(pairs), 1)
    rows = []
    for a, b in pairs:
        mean, spread, n = _difference(values[a], values[b])
        interval = student(mean, spread, n, confidence)
        rows.append(
            {
                "a": a,
                "b": b,
                "metric": metric,
                "difference": mean,
                "low": interval.low,
                "high": interval.high,
                "p": _p_value(mean, spread, n),
                "p_holm": None,
                "verdict": "not resolved",
                "seeds_needed": _seeds_needed(mean, spread, level),
            }
        )

    if rows and rows[0]["p"] is not None:
        for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
            row["p_holm"] = adjusted
            if adjusted < 1 - confidence:
                row["verdict"] = "resolved"
    return rows


def compare(
    results: Mapping,
    *,
    metric: str = "test_accuracy",
    confidence: float = 0.95,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> list[dict]:
    """The rows of `compare_pairs` for a results.json, paired by the seeds' numbers.

    Raises:
        ValueError: arms that were not trained with the same seeds.
    """
    arms = {}
    for arm in results["arms"]:
        arms[arm["name"]] = {seed["seed"]: seed[metric] for seed in arm["seeds"]}
    numbers = {name: sorted(values) for name, values in arms.items()}
    if any(other != next(iter(numbers.values())) for other in numbers.values()):
        raise ValueError(f"arms of different seeds {numbers}; pairs need the same")
    paired = {name: [arms[name][seed] for seed in numbers[name]] for name in arms}
    return compare_pairs(paired, metric=metric, confidence=confidence, pairs=pairs)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given."""
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(p_values.size, 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted.tolist()


def _difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float | None, int]:
    """Mean and deviation of a - b, and their number, rid of rounding noise."""
    differences = a - b
    rounding = 4 * np.finfo(np.float64).eps * max(np.abs(a).max(), np.abs(b).max())
    # 0.92 - 0.82 and 0.91 - 0.81 differ in the last bit, which is no spread.
    if np.ptp(differences) <= rounding:
        differences = np.full_like(differences, differences[0])
    mean = mean_interval(differences).mean
    spread = deviation(differences, mean)
    return (0.0 if abs(mean) <= rounding else mean), spread, differences.size


def _p_value(mean: float, spread: float | None, n: int) -> float | None:
    if spread is None:
        return None
    if mean == 0:
        return 1.0
    if spread == 0:
        return 0.0
    return float(2 * stdtr(n - 1, -abs(mean) / spread * math.sqrt(n)))


def _seeds_needed(mean: float, spread: float | None, level: float) -> int | None:
    if spread is None or mean == 0:
        return None

    def bound(degrees: float) -> float:
        quantiles = stdtrit(degrees, 1 - level / 2) + stdtrit(degrees, POWER)
        return float((quantiles * spread / mean) ** 2)

    # The normal quantiles bound the answer from below, and it is a few seeds above.
    seeds = max(2, math.ceil(bound(math.inf)))
    while seeds < bound(seeds - 1):
        seeds += 1
    return seeds
