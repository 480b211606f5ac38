"""Convolutions by matrix products, a few images at a time, for a CPU.

A large matrix product there runs at up to twice the rate of the compiler's own
convolution, as long as what is laid out for it stays in the cache.

Source: Chellapilla, Puri and Simard, 2006, "High performance convolutional neural
networks for document processing" (all taps of a window side by side, as in the kernel's
gradient here); Anderson, Vasudevan, Keane and Gregg, 2017, "Low-memory GEMM-based
convolution algorithms for deep neural networks", https://arxiv.org/abs/1709.03395 (taps
of a row alone, as in the convolution and the gradient by rows).
"""

import math

import jax.numpy as jnp
from jax import Array, lax

from cnnlab.ops import windows
from cnnlab.ops.windows import Geometry

# What is laid out at a time, in bytes: about what a core's cache holds. Twice or half
# as much made little difference; ten times as much was twice as slow.
_LAID_OUT = 3 * 2**20


def convolve_rows(x: Array, kernel: Array, window: Geometry) -> Array:
    """The convolution of `[N, H, W, C]` with `[kh, kw, C, F]`, at stride 1.

    The taps of one row of a window are laid out side by side and meet all rows of the
    kernel in one product; its parts then add up as shifted maps.
    """
    rows, columns, channels, features = kernel.shape
    matrix = jnp.moveaxis(kernel, 0, 2).reshape(columns * channels, rows * features)
    height, width = window.output_shape
    down, right = window.dilation

    def some(x):
        padded = windows.pad(x, window.padding, "zero", 0)
        taps = (
            lax.slice_in_dim(padded, b * right, b * right + width, axis=2)
            for b in range(columns)
        )
        laid = jnp.concatenate(list(taps), axis=-1)
        product = laid.reshape(-1, laid.shape[-1]) @ matrix
        parts = jnp.split(product.reshape(*laid.shape[:-1], -1), rows, axis=-1)
        return sum(
            lax.slice_in_dim(part, a * down, a * down + height, axis=1)
            for a, part in enumerate(parts)
        )

    padded_height = x.shape[1] + sum(window.padding[0])
    per_image = padded_height * width * max(columns * channels, rows * features)
    count = _images_at_a_time(x, per_image)
    if count == len(x):
        return some(x)
    out = lax.map(some, _chunks(x, count))
    return out.reshape(len(x), *out.shape[2:])


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
    count = _images_at_a_time(x, per_image)
    pairs = _chunks(x, count), _chunks(y, count)
    total, _ = lax.scan(add, jnp.zeros(shape, x.dtype), pairs)
    if not swapped:
        total = total.T
    return total.reshape(*window.window_shape, channels, features)


def kernel_gradient_rows(x: Array, y: Array, window: Geometry) -> Array:
    """The gradient `[kh, kw, C, F]` of sum(y * the convolution of x), at stride 1.

    The taps of one row of a window are laid out side by side, and beside them the rows
    of y that meet that row: their product holds every tap by every row. For small
    windows of few channels that is less to lay out than all taps of all windows.
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
    count = _images_at_a_time(x, per_image)
    total = jnp.zeros((columns * channels, rows * features), x.dtype)
    total, _ = lax.scan(add, total, (_chunks(x, count), _chunks(y, count)))
    apart = total.reshape(columns, channels, rows, features)
    return jnp.moveaxis(apart, 2, 0)


def _images_at_a_time(x, per_image):
    """The largest divisor of the batch that stays below what is laid out at a time."""
    most = max(1, _LAID_OUT // (per_image * x.dtype.itemsize))
    return max(n for n in range(1, min(most, len(x)) + 1) if len(x) % n == 0)


def _chunks(x, count):
    return x.reshape(len(x) // count, count, *x.shape[1:])
