"""The blurs, on a map that is written out beyond its border."""

import itertools
import math

import numpy as np

from references.loops import (
    apply,
    each,
    map_reference,
    output_shape,
    padding_pairs,
    source,
)


def binomial(size):
    """Pascal's row of that many entries, normalised to sum 1."""
    row = [1]
    while len(row) < size:
        row = [a + b for a, b in zip([0, *row], [*row, 0], strict=True)]
    return np.array(row) / sum(row)


def continued(x, pairs, boundary, missing):
    """`x` with its spatial axes continued by `pairs`, entry by entry."""
    axes = range(x.ndim - len(pairs) - 1, x.ndim - 1)
    for axis, (low, high) in zip(axes, pairs, strict=True):
        size = x.shape[axis]
        places = [source(i, size, boundary) for i in range(-low, size + high)]
        slices = [
            np.full_like(x.take(0, axis), missing) if i is None else x.take(i, axis)
            for i in places
        ]
        x = np.stack(slices, axis)
    return x


def weighted(x, weights, strides):
    """The sum of every window's entries by `weights`, with no padding."""
    rank = weights.ndim
    spatial = x.shape[x.ndim - rank - 1 : -1]
    output = output_shape(spatial, weights.shape, strides, [(0, 0)] * rank)
    out = np.zeros((*x.shape[: x.ndim - rank - 1], *output, x.shape[-1]))
    for corner in itertools.product(*map(range, output)):
        for tap in itertools.product(*map(range, weights.shape)):
            there = (c * s + t for c, s, t in zip(corner, strides, tap, strict=True))
            out[(..., *corner, slice(None))] += (
                weights[tap] * x[(..., *there, slice(None))]
            )
    return out


def binomial_filter(shape):
    rows = [binomial(size) for size in shape]
    entries = [math.prod(entry) for entry in itertools.product(*rows)]
    return np.reshape(entries, shape)


def path(x, window_shape, strides, padding):
    rank = 2 if isinstance(window_shape, int) else len(window_shape)
    window, strides = each(window_shape, rank), each(strides, rank)
    spatial = x.shape[x.ndim - rank - 1 : -1]
    return window, strides, padding_pairs(padding, spatial, window, strides)


@map_reference
def blur_pool(
    x,
    window_shape,
    strides=1,
    padding="VALID",
    boundary="zero",
    count_include_pad=True,
):
    window, strides, pairs = path(x, window_shape, strides, padding)
    out = weighted(continued(x, pairs, boundary, 0), binomial_filter(window), strides)
    if not count_include_pad:
        out /= weight_on_map(x, pairs, boundary, window, strides)
    return out


def weight_on_map(x, pairs, boundary, window, strides):
    """The weight of every window's entries that are no padding."""
    ones = continued(np.ones_like(x), pairs, boundary, 0)
    return weighted(ones, binomial_filter(window), strides)


@map_reference
def max_blur_pool(
    x, window_shape, strides=1, padding="VALID", boundary="zero", filter_size=3
):
    def largest(entries, taps):
        return entries.max(axis=0)

    return _recipe(largest, x, window_shape, strides, padding, boundary, filter_size)


@map_reference
def avg_blur_pool(
    x,
    window_shape,
    strides=1,
    padding="VALID",
    boundary="zero",
    filter_size=3,
    count_include_pad=True,
):
    def mean(entries, taps):
        return entries.sum(axis=0) / (taps if count_include_pad else len(entries))

    return _recipe(mean, x, window_shape, strides, padding, boundary, filter_size)


def _recipe(reduce, x, window_shape, strides, padding, boundary, filter_size):
    window, strides, pairs = path(x, window_shape, strides, padding)
    return blurred(
        lambda x, pairs: apply(reduce, x, window, 1, pairs, "zero"),
        x,
        strides,
        pairs,
        boundary,
        filter_size,
    )


def blurred(dense, x, strides, pairs, boundary, filter_size):
    """`dense(x, pairs)` at stride 1, blurred at `strides`, on the continued map."""
    rank = len(strides)
    sizes = each(filter_size, rank)
    margins = [((size - 1) // 2, size - 1 - (size - 1) // 2) for size in sizes]
    if boundary == "zero":
        x = dense(x, pairs)
        weight = weight_on_map(x, margins, boundary, sizes, strides)
        x = continued(x, margins, boundary, 0)
        return weighted(x, binomial_filter(sizes), strides) / weight
    x = continued(x, np.add(pairs, margins).tolist(), boundary, 0)
    return weighted(dense(x, [(0, 0)] * rank), binomial_filter(sizes), strides)
