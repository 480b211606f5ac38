"""Pools that learn how much of the maximum and how much of the average to take."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from cnnlab.ops import windows
from cnnlab.ops.pool_definition import mapped, pools
from cnnlab.ops.pooling import avg_pool, max_pool
from cnnlab.ops.reductions import wide
from cnnlab.ops.windows import Geometry


def _halves(window: Geometry, channels: int) -> np.ndarray:
    return np.array(0.5, np.float32)


def _zeros(window: Geometry, channels: int) -> np.ndarray:
    return np.zeros(window.window_shape, np.float32)


@pools.register
@mapped(weights={"alpha": _halves})
def mixed_pool(
    x: Array,
    window: Geometry,
    *,
    alpha: ArrayLike | None = None,
    count_include_pad: bool = True,
) -> Array:
    """The learned mean alpha max + (1 - alpha) avg of each window's max and average.

    It is `max_pool` at alpha = 1 and `avg_pool` at alpha = 0, gradients included; in
    between, the first of the largest entries takes alpha more than its even share. An
    infinity is the result; one of each sign gives NaN, and so does any where it is
    taken 0 times, as at alpha = 1. A shift of the map by a multiple of the strides
    shifts the result, boundary aside.

    Args:
        alpha: the share of the maximum, one number for the whole layer, which may leave
            [0, 1] in training; None is 0.5, where a layer starts.
        count_include_pad: whether padding counts in the average, as in `avg_pool`; it
            never wins the maximum.

    Source: Lee, Gallagher and Tu, 2016, section 3.1 ("mixed max-average", one number
    per layer), "Generalizing pooling functions in convolutional neural networks: mixed,
    gated, and tree", https://arxiv.org/abs/1509.08985
    """
    x = wide(x)
    return _mixture(x, window, jnp.asarray(alpha, x.dtype), count_include_pad)


@pools.register
@mapped(weights={"gating_mask": _zeros})
def gated_pool(
    x: Array,
    window: Geometry,
    *,
    gating_mask: ArrayLike | None = None,
    count_include_pad: bool = True,
) -> Array:
    """The mean gate max + (1 - gate) avg of each window, whose gate sees the window.

    The gate is sigmoid(sum_i w_i x_i) over the window's entries x_i and a learned mask
    w, which the channels share. Besides their shares in max and average, as in
    `mixed_pool`, the entries take a gradient through the gate. A window with +inf gives
    NaN, as its gate or a share is 0 times infinity; so does one with -inf, but for
    gates that this closes. A shift of the map by a multiple of the strides shifts the
    result, boundary aside.

    Args:
        gating_mask: w, of the window's shape. None is zeros, where a layer starts: all
            gates are then 1/2, their slope is steepest, and the gradient of w is not
            zero.
        count_include_pad: whether padding counts in the average, as in `avg_pool`; it
            never wins the maximum and adds nothing to the gate.

    Source: Lee, Gallagher and Tu, 2016, section 3.1 ("gated max-average", one mask per
    layer), "Generalizing pooling functions in convolutional neural networks: mixed,
    gated, and tree", https://arxiv.org/abs/1509.08985
    """
    x = wide(x)
    mask = jnp.asarray(gating_mask, x.dtype).ravel()
    taps = windows.taps(x, window, 0)
    weighted = (w * tap for w, tap in zip(mask, taps, strict=True))
    return _mixture(x, window, jax.nn.sigmoid(sum(weighted)), count_include_pad)


def _mixture(x, window, share, count_include_pad) -> Array:
    """share max + (1 - share) avg: this form is exact at both of its ends."""
    path = window.window_shape, window.strides, window.padding
    largest = max_pool(x, *path, boundary=window.boundary)
    average = avg_pool(
        x, *path, boundary=window.boundary, count_include_pad=count_include_pad
    )
    return share * largest + (1 - share) * average
