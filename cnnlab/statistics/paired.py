"""Which of several arms differ, when each was trained with the same seeds."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import stdtr

from cnnlab.statistics.equivalence import check_delta, equivalence_p
from cnnlab.statistics.holm import holm
from cnnlab.statistics.intervals import (
    check_confidence,
    deviation,
    finite_vector,
    mean_interval,
    student,
)
from cnnlab.statistics.seed_counts import seeds_needed, seeds_unpaired


def compare_pairs(
    arms: Mapping[str, Sequence[float]],
    *,
    metric: str = "test_accuracy",
    confidence: float = 0.95,
    delta: float | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> list[dict]:
    """One row for every pair of arms, in the arms' order, paired by seed.

    Args:
        arms: the metric of each arm, one value a seed, seeds in one order for all.
        metric: the name that the rows carry.
        confidence: of the intervals; verdicts are at level 1 - confidence.
        delta: the difference, in the metric's unit, below which arms count as
            equivalent; None asks no such question.
        pairs: those that are compared; None is all.

    Each row holds `a`, `b`, `metric`, `confidence`, `delta`, the number of `seeds` and
        difference: the mean over seeds of a - b: positive where a is higher.
        deviation: the sample standard deviation of a - b over seeds.
        low, high: Student's interval of the mean, for this pair alone; None where a and
            b differ by the same amount at both of two seeds, which happens by chance to
            shares of some hundred images, and tells of no spread.
        p: two-sided paired t-test; 1 for identical arms and in that case, 0 where a and
            b differ by the same amount at each of three seeds or more.
        p_holm: p adjusted by Holm over all the pairs.
        p_equivalent: two one-sided tests against |difference| >= delta.
        p_equivalent_holm: that, adjusted by Holm over all the pairs.
        equivalent: whether it is below 1 - confidence.
        verdict: "resolved" where p_holm < 1 - confidence, whatever its size; else
            "equivalent" where that is so; else "not resolved".
        seeds_needed: the smallest n >= 2 with
            n >= ((t[1 - level/2] + t[0.8]) * deviation / |difference|)^2,
            t of n - 1 degrees of freedom, level = (1 - confidence) / (number of
            pairs), Holm's strictest step: with n seeds a true difference of the
            observed size is resolved with a chance of about 80 %, whatever the other
            pairs do. None where the difference is 0.
        variance_ratio: what pairing gains, (var a + var b) / var(a - b) over seeds: 1
            where seeds share nothing, 2 where they share half of each arm's variance.
            From a few seeds it is known roughly. None where a - b does not vary.
        seeds_unpaired: the seeds an arm that an unpaired interval as narrow takes.
    With one seed everything but the difference is None, and nothing is resolved.

    All of this is for the one test set: the seeds are what is drawn. Both families of
    tests are adjusted, since "equivalent" picked from many pairs is as easily had by
    chance as "resolved": the chance that any "resolved" is wrong stays below
    1 - confidence, and that any "equivalent" is.

    Raises:
        ValueError: fewer than two arms, arms of unequal or zero length, a value that is
            not finite, a pair of an arm that is not there, a delta that is not
            positive.
    """
    check_arms(list(arms))
    check_confidence(confidence)
    check_delta(delta)
    values = {name: finite_vector(arm, name) for name, arm in arms.items()}
    lengths = {name: arm.size for name, arm in values.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"arms of unequal numbers of seeds {lengths}; pairs need one")

    pairs = checked_pairs(pairs, list(values))
    level = 1 - confidence
    rows = []
    for a, b in pairs:
        mean, spread, n = _difference(values[a], values[b])
        # Shares of so many images are two times the same by chance, and would tell of
        # no spread at all.
        told = None if n == 2 and spread == 0 and mean != 0 else spread
        tied = told is None and n == 2
        interval = student(mean, told, n, confidence)
        ratio = _variance_ratio(values[a], values[b], spread)
        rows.append(
            {
                "a": a,
                "b": b,
                "metric": metric,
                "difference": mean,
                "low": interval.low,
                "high": interval.high,
                "p": 1.0 if tied else _p_value(mean, spread, n),
                "p_holm": None,
                "verdict": "not resolved",
                "seeds_needed": seeds_needed(mean, told, level / len(pairs)),
                "confidence": confidence,
                "seeds": n,
                "deviation": spread,
                "delta": delta,
                "p_equivalent": delta
                and (1.0 if tied else equivalence_p(mean, spread, n, delta)),
                "p_equivalent_holm": None,
                "equivalent": None,
                "variance_ratio": ratio,
                "seeds_unpaired": seeds_unpaired(ratio, n, confidence),
            }
        )
    _adjust(rows, "p")
    _adjust(rows, "p_equivalent")
    for row in rows:
        if row["p_equivalent_holm"] is not None:
            row["equivalent"] = row["p_equivalent_holm"] < level
        if row["p_holm"] is not None and row["p_holm"] < level:
            row["verdict"] = "resolved"
        elif row["equivalent"]:
            row["verdict"] = "equivalent"
    return rows


def check_arms(names: Sequence[str]) -> None:
    """Nothing, or ValueError for fewer arms than a comparison is of."""
    if len(names) < 2:
        raise ValueError(f"arms {names}; two or more are wanted for a comparison")


def checked_pairs(
    pairs: Sequence[tuple[str, str]] | None, names: Sequence[str]
) -> list[tuple[str, str]]:
    """The pairs, all of them for None.

    Raises:
        ValueError: a pair of an arm that is not there, or of an arm and itself.
    """
    if pairs is None:
        return list(itertools.combinations(names, 2))
    for a, b in pairs:
        for name in (a, b):
            if name not in names:
                raise ValueError(f"pairs name {name!r}; the arms are {list(names)}")
        if a == b:
            raise ValueError(f"pairs compare {a!r} with itself")
    return list(pairs)


def _adjust(rows: Sequence[dict], key: str) -> None:
    if rows and rows[0][key] is not None:
        adjusted = holm([row[key] for row in rows])
        for row, p in zip(rows, adjusted, strict=True):
            row[f"{key}_holm"] = p


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


def _variance_ratio(a: np.ndarray, b: np.ndarray, spread: float | None) -> float | None:
    if not spread:
        return None
    return float((a.var(ddof=1) + b.var(ddof=1)) / spread**2)


def _p_value(mean: float, spread: float | None, n: int) -> float | None:
    if spread is None:
        return None
    if mean == 0:
        return 1.0
    if spread == 0:
        return 0.0
    return float(2 * stdtr(n - 1, -abs(mean) / spread * math.sqrt(n)))
