"""Confidence intervals of a mean over seeds."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit


class Interval(NamedTuple):
    """A mean and its interval; `low` and `high` are None where none is claimed."""

    mean: float
    low: float | None
    high: float | None
    n: int


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's interval of the mean, values taken as independent and normal.

    One value gives its mean and no interval. Nothing is clipped: an interval of
    accuracies may pass 1.

    Raises:
        ValueError: no values, one that is not finite, or a confidence outside (0, 1).
    Source: Student (1908), "The probable error of a mean".
    """
    values = finite_vector(values, "values")
    check_confidence(confidence)
    mean = math.fsum(values) / values.size
    # Rounding must not give equal values another mean, nor any spread.
    mean = float(min(max(mean, values.min()), values.max()))
    return student(mean, deviation(values, mean), values.size, confidence)


def student(
    mean: float, deviation: float | None, n: int, confidence: float
) -> Interval:
    """Student's interval about a mean of n values with that sample deviation."""
    if deviation is None:
        return Interval(mean, None, None, n)
    quantile = float(stdtrit(n - 1, (1 + confidence) / 2))
    half_width = quantile * deviation / math.sqrt(n)
    return Interval(mean, mean - half_width, mean + half_width, n)


def deviation(values: np.ndarray, mean: float) -> float | None:
    """The sample standard deviation (n - 1 in the denominator); None for one value."""
    if values.size == 1:
        return None
    return math.sqrt(math.fsum((values - mean) ** 2) / (values.size - 1))


def finite_vector(values: Sequence[float], name: str) -> np.ndarray:
    """The values as a float64 vector.

    Raises:
        ValueError: empty, not one-dimensional, or not finite; `name` is in the message.
    """
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or vector.size == 0:
        raise ValueError(f"{name} has shape {vector.shape}; one value or more wanted")
    if not np.all(np.isfinite(vector)):
        where = int(np.argmin(np.isfinite(vector)))
        raise ValueError(f"{name}[{where}] is {vector[where]}; finite numbers wanted")
    return vector


def check_confidence(confidence: float) -> None:
    """Nothing, or ValueError for a confidence outside (0, 1)."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}; a number between 0 and 1 wanted")
