"""Whether two nets differ on one test set."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from scipy.special import bdtr


class McNemar(NamedTuple):
    """How many examples only one of two nets gets right, and the exact p-value."""

    only_a: int
    only_b: int
    p: float


def mcnemar(
    a: Bool[np.ndarray, " examples"], b: Bool[np.ndarray, " examples"]
) -> McNemar:
    """The exact two-sided test that each net alone is right equally often.

    It tells these two nets apart, for new test examples; what another seed would
    have trained is not asked. p is 1 where they are right on the same examples.

    Args:
        a, b: whether each example is classified rightly, in one order for both.

    Raises:
        ValueError: not two vectors of booleans of one length.
    Source: McNemar (1947), "Note on the sampling error of the difference between
    correlated proportions or percentages"; exact by the binomial distribution.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != bool or b.dtype != bool or a.ndim != 1 or a.shape != b.shape:
        raise ValueError(
            f"got {a.dtype} of shape {a.shape} and {b.dtype} of shape {b.shape}; two "
            "vectors of booleans of one length wanted"
        )
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    fewer, either = min(only_a, only_b), only_a + only_b
    p = min(1.0, 2 * float(bdtr(fewer, either, 0.5))) if either else 1.0
    return McNemar(only_a, only_b, p)
