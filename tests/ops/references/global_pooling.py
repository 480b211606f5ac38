"""Pools to one entry or to a given shape, region by region."""

import math

import numpy as np

GLOBAL_POOLS = {}


def global_reference(function):
    """`function(x, axes, **options)`, entered in GLOBAL_POOLS under its name."""
    GLOBAL_POOLS[function.__name__] = function
    return function


@global_reference
def global_max_pool(x, axes=2):
    return _over_the_map(np.max, x, axes)


@global_reference
def global_avg_pool(x, axes=2):
    return _over_the_map(np.mean, x, axes)


@global_reference
def global_concat_pool(x, axes=2):
    return np.concatenate([global_max_pool(x, axes), global_avg_pool(x, axes)], axis=-1)


def adaptive_pool(reduce, x, output_shape):
    """`reduce(region, axis=axes)` of every region of the map."""
    rank = len(output_shape)
    spatial = x.shape[-rank - 1 : -1]
    leading = x.ndim - rank - 1
    out = np.zeros((*x.shape[:leading], *output_shape, x.shape[-1]))
    for corner in np.ndindex(*output_shape):
        region = tuple(
            slice(math.floor(i * n / m), math.ceil((i + 1) * n / m))
            for i, n, m in zip(corner, spatial, output_shape, strict=True)
        )
        before = (slice(None),) * leading
        out[before + corner] = _over_the_map(reduce, x[before + region], rank)
    return out


def _over_the_map(reduce, x, axes):
    return reduce(x, axis=tuple(range(x.ndim - axes - 1, x.ndim - 1)))
