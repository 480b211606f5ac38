"""The kernel's gradient by matrix products, a few images at a time, for a CPU.

A large matrix product there runs at up to twice the rate of the compiler's own
convolution with a kernel as large as the map, as long as what is laid out for it stays
in the cache.

Source: Chellapilla, Puri and Simard, 2006, "High performance convolutional neural
networks for document processing" (all taps of a window side by side); Anderson,
Vasudevan, Keane and Gregg, 2017, "Low-memory GEMM-based convolution algorithms for deep
neural networks", https://arxiv.org/abs/1709.03395 (taps of a row alone).
"""

import math

import jax.numpy as jnp
from jax import Array, lax

from cnnlab.ops import windows
from cnnlab.ops.image_chunks import chunks, images_at_a_time
from cnnlab.ops.windows import Geometry


def kernel_gradient_windows(x: Array, y: Array, window: Geometry) -> Array:
    """The gradient `[*window, C, F]` of sum(y * the convolution of x).

    All taps of every window are laid out side by side: one product with y sums over
    the windows.
    """
    channels, features = x.shape[-1], y.shape[-1]
    taps = math.prod(window.window_shape)
    # The longer of the two comes second: its rows are what the product runs along.
    swapped = taps * channels < features

    def add(total, pair):
        x, y = pair
        laid = jnp.concatenate(windows.taps(x, window, 0).values, axis=-1)
        operands = y, laid
        if swapped:
            operands = laid, y
        flat = (each.reshape(-1, each.shape[-1]) for each in operands)
        return total + lax.dot_general(*flat, (((0,), (0,)), ((), ()))), None

    shape = (features, taps * channels)
    if swapped:
        shape = shape[::-1]
    per_image = math.prod(window.output_shape) * (taps * channels + features)
    count = images_at_a_time(len(x), per_image * x.dtype.itemsize)
    pairs = chunks(x, count), chunks(y, count)
    total, _ = lax.scan(add, jnp.zeros_like(x, shape=shape), pairs)
    if not swapped:
        total = total.T
    return total.reshape(*window.window_shape, channels, features)


def kernel_gradient_rows(x: Array, y: Array, window: Geometry) -> Array:
    """The gradient `[kh, kw, C, F]` of sum(y * the convolution of x), at stride 1.

    The taps of one row of a window are laid out side by side, and beside them the rows
    of y that meet that row: their product holds every tap by every row. For small
    windows of few channels that is less to lay out than all taps of all windows. Where
    a row of the map meets no row of y it meets zeros, so that what is not finite in it
    shows in all rows of the gradient.
    """
    rows, columns = window.window_shape
    channels, features = x.shape[-1], y.shape[-1]
    down, right = window.dilation
    reach = (rows - 1) * down
    width = y.shape[2]

    def add(total, pair):
        x, y = pair
        padded = windows.pad(x, window.padding, "zero", 0)
        taps = [
            lax.slice_in_dim(padded, b * right, b * right + width, axis=2)
            for b in range(columns)
        ]
        # Row i of the map meets row i - a * down of y in row a of the window.
        spread = jnp.pad(y, ((0, 0), (reach, reach), (0, 0), (0, 0)))
        met = [
            lax.slice_in_dim(
                spread, reach - a * down, reach - a * down + padded.shape[1], axis=1
            )
            for a in range(rows)
        ]
        laid = (jnp.concatenate(each, axis=-1) for each in (taps, met))
        flat = (each.reshape(-1, each.shape[-1]) for each in laid)
        return total + lax.dot_general(*flat, (((0,), (0,)), ((), ()))), None

    padded_height = x.shape[1] + sum(window.padding[0])
    per_image = padded_height * width * (columns * channels + rows * features)
    count = images_at_a_time(len(x), per_image * x.dtype.itemsize)
    total = jnp.zeros_like(x, shape=(columns * channels, rows * features))
    total, _ = lax.scan(add, total, (chunks(x, count), chunks(y, count)))
    apart = total.reshape(columns, channels, rows, features)
    return jnp.moveaxis(apart, 2, 0)
