"""How many seeds an interval, or a verdict, would take."""

import math
from collections.abc import Callable

from scipy.special import stdtrit

POWER = 0.8


def seeds_needed(mean: float, spread: float | None, level: float) -> int | None:
    """The smallest n >= 2 that resolves a true difference `mean` four times in five.

    n >= ((t[1 - level/2] + t[0.8]) * spread / |mean|)^2, t of n - 1 degrees of freedom.

    Args:
        spread: the standard deviation of one seed's difference; None gives None.
        level: of the two-sided test.
    """
    if spread is None or mean == 0:
        return None

    def bound(degrees: float) -> float:
        quantiles = stdtrit(degrees, 1 - level / 2) + stdtrit(degrees, POWER)
        return float((quantiles * spread / mean) ** 2)

    return _smallest(bound, lambda n: n - 1)


def seeds_unpaired(
    variance_ratio: float | None, n: int, confidence: float
) -> int | None:
    """The smallest m >= 2 whose unpaired interval is as narrow as one of n pairs.

    m >= n * variance_ratio * (t'[...] / t[...])^2, where t' has the 2m - 2 degrees of
    freedom of two samples and t the n - 1 of n differences. So m < n where the seeds
    share nothing, as pairing then only loses degrees of freedom.

    Args:
        variance_ratio: of an unpaired to a paired difference; None gives None.
    """
    if variance_ratio is None:
        return None
    quantile = (1 + confidence) / 2
    paired = float(stdtrit(n - 1, quantile))

    def bound(degrees: float) -> float:
        return n * variance_ratio * float(stdtrit(degrees, quantile) / paired) ** 2

    return _smallest(bound, lambda m: 2 * m - 2)


def _smallest(bound: Callable[[float], float], degrees: Callable[[int], int]) -> int:
    # The normal quantiles bound the answer from below, and it is a few seeds above.
    seeds = max(2, math.ceil(bound(math.inf)))
    while seeds < bound(degrees(seeds)):
        seeds += 1
    return seeds
