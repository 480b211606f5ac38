"""Whether a difference is known to be small."""

import math

from scipy.special import stdtr


def equivalence_p(
    mean: float, spread: float | None, n: int, delta: float
) -> float | None:
    """The p-value of two one-sided t-tests against |true difference| >= delta.

    The larger of the two, which is below a level where Student's interval of
    confidence 1 - 2 * level lies inside (-delta, delta).

    Args:
        spread: sample deviation of the n differences; None, of one, gives None.

    Source: Schuirmann (1987), "A comparison of the two one-sided tests procedure and
    the power approach for assessing the equivalence of average bioavailability".
    """
    if spread is None:
        return None
    room = delta - abs(mean)
    if spread == 0:
        return 0.0 if room > 0 else 1.0
    return float(stdtr(n - 1, -room / spread * math.sqrt(n)))


def check_delta(delta: float | None) -> None:
    """Nothing, or ValueError for a delta that bounds nothing."""
    if delta is not None and not 0 < delta < math.inf:
        raise ValueError(f"delta {delta}; a positive number wanted, or None")
