"""The loops that every reference runs in, and the table of the pools' references."""

import functools
import itertools
import math

import numpy as np

POOLS = {}
MAPS = {}


def reference(function):
    """`function(entries, taps, **options)`, entered in POOLS under its name."""
    POOLS[function.__name__] = function
    return function


def map_reference(function):
    """`function(x, window_shape, strides, padding, boundary, **options)`, in MAPS."""
    MAPS[function.__name__] = function
    return function


def pool(name, x, window_shape, strides=1, padding="VALID", boundary=None, **options):
    """The map that the pool `name` makes of `x`, in float64."""
    path = window_shape, strides, padding, *(() if boundary is None else (boundary,))
    if name in MAPS:
        return MAPS[name](np.asarray(x, np.float64), *path, **options)
    return apply(functools.partial(POOLS[name], **options), x, *path)


def apply(reduce, x, window_shape, strides=1, padding="VALID", boundary="zero"):
    """The map of `reduce(entries, taps)` over every window of `x`, in float64."""
    rank = 2 if isinstance(window_shape, int) else len(window_shape)
    x = np.asarray(x, np.float64)
    spatial = x.shape[x.ndim - rank - 1 : -1]
    window_shape, strides = each(window_shape, rank), each(strides, rank)
    pairs = padding_pairs(padding, spatial, window_shape, strides)
    taps = math.prod(window_shape)
    lanes, restore = _lanes(x, rank)
    output = output_shape(spatial, window_shape, strides, pairs)
    out = np.zeros(output + lanes.shape[rank:])
    for corner in itertools.product(*map(range, output)):
        entries = [
            lanes[there]
            for offset in itertools.product(*map(range, window_shape))
            if (there := place(corner, offset, strides, pairs, spatial, boundary))
        ]
        out[corner] = reduce(np.array(entries), taps)
    return restore(out)


def padding_pairs(padding, spatial, extent, strides):
    """The (low, high) padding of every axis."""
    if padding == "VALID":
        return [(0, 0)] * len(spatial)
    if padding == "FULL":
        return [(e - 1, e - 1) for e in extent]
    if padding == "SAME":
        pairs = []
        for n, e, s in zip(spatial, extent, strides, strict=True):
            outputs = -(-n // s)
            total = max((outputs - 1) * s + e - n, 0)
            pairs.append((total // 2, total - total // 2))
        return pairs
    return [(p, p) if isinstance(p, int) else p for p in each(padding, len(spatial))]


def source(position, size, boundary):
    """Which entry of an axis stands at `position`, or None where nothing does."""
    if 0 <= position < size:
        return position
    if boundary == "circular":
        return position % size
    if boundary == "edge":
        return 0 if position < 0 else size - 1
    if boundary == "reflect":
        while not 0 <= position < size and size > 1:
            position = -position if position < 0 else 2 * (size - 1) - position
        return position if size > 1 else 0
    return None


def place(corner, offset, strides, pairs, spatial, boundary):
    """Where on the map a tap of the window at `corner` lies, or None."""
    position = tuple(
        source(c * s + o - low, n, boundary)
        for c, o, s, (low, _), n in zip(
            corner, offset, strides, pairs, spatial, strict=True
        )
    )
    return None if None in position else position


def each(value, rank):
    """`value` once per axis."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def output_shape(spatial, extent, strides, pairs):
    return tuple(
        (n + sum(pair) - e) // s + 1
        for n, e, s, pair in zip(spatial, extent, strides, pairs, strict=True)
    )


def _lanes(x, rank):
    """`x` with its spatial axes first, and the way back."""
    leading = x.ndim - rank - 1
    spatial_axes = tuple(range(leading, leading + rank))
    return np.moveaxis(x, spatial_axes, range(rank)), lambda out: np.moveaxis(
        out, range(rank), spatial_axes
    )
