"""Fractional max pooling with the starts of its regions by the paper's equation."""

import math
from fractions import Fraction

import numpy as np

from references.loops import each, map_reference, padding_pairs, source


@map_reference
def fractional_max_pool(
    x,
    window_shape,
    strides=1,
    padding="VALID",
    boundary="zero",
    ratio=2**0.5,
    pseudo_random=True,
):
    rank = 2 if isinstance(window_shape, int) else len(window_shape)
    window_shape, strides = each(window_shape, rank), each(strides, rank)
    ratios = ratio if isinstance(ratio, tuple) else (ratio,) * rank
    spatial = x.shape[-rank - 1 : -1]
    pairs = padding_pairs(padding, spatial, window_shape, strides)
    starts = []
    for size, window, pair, r in zip(spatial, window_shape, pairs, ratios, strict=True):
        padded = size + sum(pair)
        count = max(min(math.floor(padded / r), padded - window + 1), 1)
        starts.append(fractional_starts(padded - window, count))
    return maxima(x, window_shape, starts, pairs, boundary)


def fractional_starts(span, count, u=Fraction(1, 2)):
    """Where `count` regions start along an axis, the last of them at `span`."""
    if count == 1:
        return [span]
    alpha = Fraction(span, count - 1)
    return [math.floor(alpha * (i + u)) - math.floor(alpha * u) for i in range(count)]


def maxima(x, window_shape, starts, pairs, boundary):
    """The maxima of the regions at the product of each axis's `starts`."""
    spatial = x.shape[-len(starts) - 1 : -1]
    batch = (slice(None),) * (x.ndim - len(starts) - 1)
    out = np.zeros((*x.shape[: len(batch)], *map(len, starts), x.shape[-1]))
    for corner in np.ndindex(*map(len, starts)):
        entries = []
        for offset in np.ndindex(*window_shape):
            there = tuple(
                source(axis_starts[c] + o - low, size, boundary)
                for axis_starts, c, o, (low, _), size in zip(
                    starts, corner, offset, pairs, spatial, strict=True
                )
            )
            if None not in there:
                entries.append(x[batch + there])
        out[batch + corner] = np.max(entries, axis=0)
    return out
