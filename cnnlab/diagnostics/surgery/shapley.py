"""What each of several changes contributes to a score, alone and among the others."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnlab.diagnostics.shifts.protocol import check_seed
from cnnlab.ops.arguments import check_count

# From the changes that are made, a number, or one for each image.
Score = Callable[[frozenset], Any]
EXACT = 8
# Beyond: orders that are drawn, each of which takes as many scores as there are sites.
DRAWN = 16


@dataclasses.dataclass(frozen=True)
class Effects:
    """How a score answers to changes. Numbers are float64, of the score's own shape.

    Attributes:
        sites: what is changed, in the order of the rows of the arrays below.
        none, full: the score with no change, and with all.
        alone: `[sites, ...]`, score({site}) - none.
        last: `[sites, ...]`, full - score(all but the site).
        shapley: `[sites, ...]`, the mean over all orders of the sites of what a site
            adds to the score of those before it. They sum to full - none.
        standard_error: `[sites, ...]`, of `shapley` over the orders that were drawn;
            None where all were counted.
        scored: how many different sets were scored.
    """

    sites: tuple
    none: np.ndarray
    full: np.ndarray
    alone: np.ndarray
    last: np.ndarray
    shapley: np.ndarray
    standard_error: np.ndarray | None
    scored: int

    def __str__(self) -> str:
        means = (
            values.reshape(len(self.sites), -1).mean(1)
            for values in (self.alone, self.last, self.shapley)
        )
        lines = [
            f"{site}: alone {alone:+.4f}, last {last:+.4f}, Shapley {shapley:+.4f}"
            for site, alone, last, shapley in zip(self.sites, *means, strict=True)
        ]
        ends = f"none {self.none.mean():.4f}, all {self.full.mean():.4f}"
        return "\n".join([*lines, ends])


def effects(
    score: Score,
    sites: Sequence,
    *,
    permutations: int | None = None,
    seed: int | None = None,
) -> Effects:
    """What the change at each of `sites` contributes to `score`.

    Up to 8 sites all 2^n sets are scored, and Shapley's values are exact:
    sum over S without i of |S|! (n - |S| - 1)! / n! (score(S + i) - score(S)). Beyond,
    or where `permutations` is given, they are means over orders drawn at random, each
    second one the reverse of the one before; the standard error is over these pairs. No
    set is scored twice.

    Where the score is an array with one number per image, so is every effect, and an
    interval over images is one of its means.

    Args:
        score: of a frozenset of the changed sites; a number, or an array of one shape.
        sites: anything hashable, such as indices.
        permutations: how many orders to draw, an even number of at least 4; None counts
            all of up to 8 sites, and draws 16 of more.
        seed: of the draw; needed where there is one.

    Raises:
        ValueError: no sites, or one twice; a draw without a seed; permutations that are
            odd or too few; a score that is not finite or that changes its shape.

    Source: Shapley, 1953, "A value for n-person games"; the sampling is Castro, Gomez
    and Tejada, 2009, https://doi.org/10.1016/j.cor.2008.04.004, with reversed orders as
    in Mitchell, Cooper, Frank and Holmes, 2022, https://arxiv.org/abs/2104.12199.
    """
    sites = tuple(sites)
    if permutations is None and len(sites) > EXACT:
        permutations = DRAWN
    _check(sites, permutations, seed)
    scores = _Scores(score, sites)
    everything = frozenset(range(len(sites)))
    none, full = scores(frozenset()), scores(everything)
    alone = np.stack([scores(frozenset({i})) - none for i in sorted(everything)])
    last = np.stack([full - scores(everything - {i}) for i in sorted(everything)])
    if permutations is None:
        shapley, error = _exact(scores, len(sites)), None
    else:
        shapley, error = _sampled(scores, len(sites), permutations, seed)
    return Effects(sites, none, full, alone, last, shapley, error, len(scores.known))


def _check(sites, permutations, seed) -> None:
    if not sites:
        raise ValueError("sites: there are none to change")
    if len(set(sites)) < len(sites):
        raise ValueError(f"sites: {sites} has one of them twice")
    if permutations is None:
        return
    check_count("permutations", permutations)
    if permutations < 4 or permutations % 2:
        raise ValueError(
            f"permutations: {permutations}; an even number of at least 4 wanted"
        )
    if seed is None:
        raise ValueError(
            f"seed: None; {permutations} orders of the {len(sites)} sites are drawn, "
            "which takes one"
        )
    check_seed(seed)


class _Scores:
    """The score of each set of positions, computed once."""

    def __init__(self, score: Score, sites: tuple):
        self._score, self._sites = score, sites
        self.known: dict[frozenset[int], np.ndarray] = {}

    def __call__(self, positions: frozenset[int]) -> np.ndarray:
        if positions not in self.known:
            changed = frozenset(self._sites[i] for i in positions)
            value = np.asarray(self._score(changed), np.float64)
            before = next(iter(self.known.values()), value)
            if value.shape != before.shape:
                raise ValueError(
                    f"score: of shape {value.shape} for sites {list(changed)}, and "
                    f"of {before.shape} before"
                )
            if not np.isfinite(value).all():
                raise ValueError(f"score: not finite for sites {list(changed)}")
            self.known[positions] = value
        return self.known[positions]


def _exact(scores: _Scores, n: int) -> np.ndarray:
    values = []
    for site in range(n):
        others = [i for i in range(n) if i != site]
        value = 0
        for size in range(n):
            weight = 1 / (n * math.comb(n - 1, size))
            for chosen in map(frozenset, itertools.combinations(others, size)):
                value = value + weight * (scores(chosen | {site}) - scores(chosen))
        values.append(value)
    return np.stack(values)


def _sampled(scores: _Scores, n: int, permutations: int, seed: int):
    generator = np.random.default_rng(seed)
    total, squares, pairs = 0, 0, permutations // 2
    for _ in range(pairs):
        order = generator.permutation(n)
        pair = (_marginals(scores, order) + _marginals(scores, order[::-1])) / 2
        total, squares = total + pair, squares + pair**2
    mean = total / pairs
    variance = np.maximum(squares - pairs * mean**2, 0) / (pairs - 1)
    return mean, np.sqrt(variance / pairs)


def _marginals(scores: _Scores, order: np.ndarray) -> np.ndarray:
    """What each site adds to those before it in `order`."""
    before, rows = frozenset(), {}
    for site in map(int, order):
        after = before | {site}
        rows[site] = scores(after) - scores(before)
        before = after
    return np.stack([rows[site] for site in sorted(rows)])
