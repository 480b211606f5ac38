"""What would change with other seeds and other test examples."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri, stdtrit

from cnnlab.statistics.intervals import check_confidence
from cnnlab.statistics.paired import check_arms, checked_pairs

# Examples that are drawn at once: they fit a cache, whatever the number of draws.
_DRAWN_AT_ONCE = 200_000


def crossed_bootstrap(
    arms: Mapping[
        str, Bool[np.ndarray, "seeds examples"] | Float[np.ndarray, "seeds examples"]
    ],
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    confidence: float = 0.95,
    draws: int = 4000,
    seed: int = 0,
) -> list[dict]:
    """One row for every pair of arms: an interval for new seeds and new test examples.

    Each draw takes the K seeds and, independently, the N examples with replacement,
    the same for all arms; in terms of their multinomial counts v and w, and of d[s, e],
    a less b at one seed and example, it is sum(v[s] * w[e] * d[s, e]) / (K * N). The
    percentiles of the draws are stretched about the difference by
    sqrt(K / (K - 1)) * t / z, with Student's quantile t of K - 1 degrees of freedom and
    the normal z: a bootstrap of few seeds knows of neither factor. Where seeds alone
    matter the interval is about Student's.

    It is cautious. Of d's variance components (of seeds S, examples E, and what is
    neither's, R) the mean's true variance is S/K + E/N + R/(KN), but that of the draws
    is about S/K * (1 - 1/K) + E/N + R/(KN) * (3 - 2/K), as what belongs to one seed on
    one example is drawn three times over; and the stretch is for seeds, yet widens
    the rest too. No bootstrap is exact for crossed factors (McCullagh, 2000).

    Args:
        arms: a value of each seed on each example, such as whether it was right; seeds
            and examples in one order for all.
        pairs: those that are compared; None is all.
        draws: their number, at least 100.
        seed: of the draws; the same seed gives the same rows.

    Each row holds `a`, `b`, `confidence`, `draws`, `seed` and
        difference: the mean of a - b.
        low, high: for this pair alone, without regard to the number of pairs; None
            with one seed.
        deviation: the standard deviation of the draws, not stretched; None likewise.

    Raises:
        ValueError: fewer than two arms, arms of unequal shapes, values that are not
            finite, too few draws.
    Source: Owen (2007), "The pigeonhole bootstrap", https://arxiv.org/abs/0712.1111;
    Hesterberg (2015), "What teachers should know about the bootstrap", widens the
    percentiles' levels by the same factors, which at K = 5 takes many more draws.
    """
    check_arms(list(arms))
    check_confidence(confidence)
    if draws < 100:
        raise ValueError(f"draws {draws}; at least 100 wanted")
    values = _checked(arms)
    pairs = checked_pairs(pairs, list(values))
    if not pairs:
        return []
    seeds = len(next(iter(values.values())))
    claims = seeds > 1
    means = _drawn_means(values, draws, seed) if claims else {}
    rows = []
    for a, b in pairs:
        difference = float(values[a].mean() - values[b].mean())
        low = high = spread = None
        if claims:
            drawn = means[a] - means[b]
            tail = (1 - confidence) / 2
            ends = np.quantile(drawn, [tail, 1 - tail]) - difference
            low, high = (difference + _stretch(seeds, tail) * ends).tolist()
            spread = float(drawn.std())
        rows.append(
            {
                "a": a,
                "b": b,
                "difference": difference,
                "low": low,
                "high": high,
                "deviation": spread,
                "confidence": confidence,
                "draws": draws,
                "seed": seed,
            }
        )
    return rows


def _stretch(seeds: int, tail: float) -> float:
    quantiles = stdtrit(seeds - 1, 1 - tail) / ndtri(1 - tail)
    return float(math.sqrt(seeds / (seeds - 1)) * quantiles)


def _drawn_means(
    values: Mapping[str, np.ndarray], draws: int, seed: int
) -> dict[str, np.ndarray]:
    """Each arm's mean in every draw."""
    generator = np.random.default_rng(seed)
    seeds, examples = next(iter(values.values())).shape
    stacked = np.concatenate(list(values.values())).T.astype(np.float64)
    of_seeds = next(_counts(generator, seeds, draws, at_once=draws))
    at_once = max(1, _DRAWN_AT_ONCE // examples)
    # Examples first: (draws, arms * seeds), small from there on.
    sums = np.concatenate(
        [counts @ stacked for counts in _counts(generator, examples, draws, at_once)]
    )
    sums = sums.reshape(draws, len(values), seeds)
    means = np.einsum("das,ds->ad", sums, of_seeds) / (seeds * examples)
    return dict(zip(values, means, strict=True))


def _counts(
    generator: np.random.Generator, levels: int, draws: int, at_once: int
) -> Iterator[np.ndarray]:
    """How often each level is drawn, (draws, levels), in pieces of `at_once` draws."""
    for first in range(0, draws, at_once):
        size = min(at_once, draws - first)
        drawn = generator.integers(levels, size=(size, levels))
        drawn += levels * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * levels)
        yield counts.reshape(size, levels).astype(np.float64)


def _checked(arms: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    values = {name: np.asarray(arm) for name, arm in arms.items()}
    shapes = {name: arm.shape for name, arm in values.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"arms of unequal shapes {shapes}; pairs need one")
    for name, arm in values.items():
        if arm.ndim != 2 or arm.size == 0:
            raise ValueError(f"{name} has shape {arm.shape}; (seeds, examples) wanted")
        if not np.isfinite(arm).all():
            raise ValueError(f"{name} has values that are not finite")
    return values
