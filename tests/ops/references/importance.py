"""Local importance-based pooling, window by window."""

import itertools

import numpy as np

from references.loops import each, map_reference, output_shape, padding_pairs, place


@map_reference
def lip_pool(
    x,
    window_shape,
    strides=1,
    padding="VALID",
    boundary="zero",
    projection=None,
    bias=0.0,
):
    rank = 2 if isinstance(window_shape, int) else len(window_shape)
    window_shape, strides = each(window_shape, rank), each(strides, rank)
    batch, spatial, channels = (
        x.shape[: -rank - 1],
        x.shape[-rank - 1 : -1],
        x.shape[-1],
    )
    pairs = padding_pairs(padding, spatial, window_shape, strides)
    outputs = output_shape(spatial, window_shape, strides, pairs)
    if projection is None:
        projection = 0.1 * np.eye(channels)
    projection = np.broadcast_to(projection, (channels, channels))
    out = np.zeros((*batch, *outputs, channels))
    for image in np.ndindex(batch):
        for corner in np.ndindex(outputs):
            entries, logits = [], []
            for offset in itertools.product(*map(range, window_shape)):
                there = place(corner, offset, strides, pairs, spatial, boundary)
                if there is not None:
                    entry = x[image][there]
                    entries.append(entry)
                    logits.append(12 / (1 + np.exp(-(entry @ projection) - bias)))
            weights = np.exp(logits)
            shares = weights / weights.sum(axis=0)
            out[image][corner] = (shares * entries).sum(axis=0)
    return out
