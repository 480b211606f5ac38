"""The cross-correlation, tap by tap."""

import itertools

import numpy as np

from references.loops import each, output_shape, padding_pairs, place


def conv(x, kernel, strides=1, padding="SAME", dilation=1, groups=1, boundary="zero"):
    """The cross-correlation of `x` with `kernel`, in float64."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    rank = kernel.ndim - 2
    spatial = x.shape[x.ndim - rank - 1 : -1]
    strides, dilation = each(strides, rank), each(dilation, rank)
    extent = tuple(
        (n - 1) * d + 1 for n, d in zip(kernel.shape, dilation, strict=False)
    )
    pairs = padding_pairs(padding, spatial, extent, strides)
    output = output_shape(spatial, extent, strides, pairs)
    batch = x.shape[: x.ndim - rank - 1]
    images = x.reshape(-1, *x.shape[len(batch) :])
    per_group, features = kernel.shape[-2], kernel.shape[-1] // groups
    out = np.zeros((len(images), *output, kernel.shape[-1]))
    for corner in itertools.product(*map(range, output)):
        for tap in itertools.product(*map(range, kernel.shape[:rank])):
            offset = tuple(t * d for t, d in zip(tap, dilation, strict=True))
            there = place(corner, offset, strides, pairs, spatial, boundary)
            if not there:
                continue
            pixel = images[(slice(None), *there)]
            for group in range(groups):
                ours = slice(group * features, (group + 1) * features)
                theirs = slice(group * per_group, (group + 1) * per_group)
                out[(slice(None), *corner, ours)] += (
                    pixel[:, theirs] @ kernel[tap][:, ours]
                )
    return out.reshape(*batch, *out.shape[1:])
