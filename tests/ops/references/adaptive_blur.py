"""Content-adaptive blur, filter by filter."""

import itertools
import math

import numpy as np

from references.antialiasing import binomial_filter, continued, path
from references.loops import map_reference, output_shape


@map_reference
def adaptive_blur_pool(
    x,
    window_shape,
    strides=1,
    padding="VALID",
    boundary="zero",
    count_include_pad=True,
    projection=0.0,
    bias=None,
):
    window, strides, pairs = path(x, window_shape, strides, padding)
    rank, channels, taps = len(window), x.shape[-1], math.prod(window)
    groups = max(size for size in (1, 2, 4, 8) if channels % size == 0)
    projection = np.broadcast_to(projection, (*window, channels, groups * taps))
    projection = projection.reshape(taps, channels, groups, taps)
    if bias is None:
        bias = np.tile(np.log(binomial_filter(window)).ravel(), groups)
    bias = np.broadcast_to(bias, groups * taps).reshape(groups, taps)
    real = continued(np.ones_like(x), pairs, boundary, 0)
    padded = continued(x, pairs, boundary, 0)
    spatial = x.shape[x.ndim - rank - 1 : -1]
    output = output_shape(spatial, window, strides, pairs)
    out = np.zeros((*x.shape[: x.ndim - rank - 1], *output, channels))
    for corner in itertools.product(*map(range, output)):
        places = [
            (..., *(c * s + t for c, s, t in zip(corner, strides, tap, strict=True)))
            for tap in itertools.product(*map(range, window))
        ]
        entries = np.stack([padded[(*place, slice(None))] for place in places])
        on_map = np.stack([real[(*place, slice(None))] for place in places])
        for channel in range(channels):
            group = channel * groups // channels
            logits = [
                bias[group, tap]
                + sum(entries[s] @ projection[s, :, group, tap] for s in range(taps))
                for tap in range(taps)
            ]
            weights = np.exp(logits)
            if not count_include_pad:
                weights = weights * on_map[..., channel]
            mean = (weights * entries[..., channel]).sum(axis=0) / weights.sum(axis=0)
            out[(..., *corner, channel)] = mean
    return out
