"""Learned mixtures of a window's maximum and its average."""

import itertools
import math

import numpy as np

from references.classic import avg_pool, max_pool
from references.loops import (
    apply,
    each,
    map_reference,
    output_shape,
    padding_pairs,
    place,
    reference,
)


@reference
def mixed_pool(entries, taps, alpha=0.5, count_include_pad=True):
    average = avg_pool(entries, taps, count_include_pad)
    return alpha * max_pool(entries, taps) + (1 - alpha) * average


@map_reference
def gated_pool(
    x,
    window_shape,
    strides=1,
    padding="VALID",
    boundary="zero",
    gating_mask=0.0,
    count_include_pad=True,
):
    path = window_shape, strides, padding, boundary
    gate = _gate(x, gating_mask, *path)
    largest = apply(max_pool, x, *path)
    average = apply(lambda e, taps: avg_pool(e, taps, count_include_pad), x, *path)
    return gate * largest + (1 - gate) * average


def _gate(x, gating_mask, window_shape, strides, padding, boundary):
    """One number per window and channel, tap by tap."""
    rank = 2 if isinstance(window_shape, int) else len(window_shape)
    window_shape, strides = each(window_shape, rank), each(strides, rank)
    mask = np.broadcast_to(np.asarray(gating_mask, np.float64), window_shape)
    batch, spatial = x.shape[: -rank - 1], x.shape[-rank - 1 : -1]
    images = x.reshape(-1, *spatial, x.shape[-1])
    pairs = padding_pairs(padding, spatial, window_shape, strides)
    output = output_shape(spatial, window_shape, strides, pairs)
    logits = np.zeros((math.prod(batch), *output, x.shape[-1]))
    for corner in itertools.product(*map(range, output)):
        for tap in itertools.product(*map(range, window_shape)):
            there = place(corner, tap, strides, pairs, spatial, boundary)
            if there:
                logits[(slice(None), *corner)] += (
                    mask[tap] * images[(slice(None), *there)]
                )
    return 1 / (1 + np.exp(-logits.reshape(*batch, *output, -1)))
