"""The map's gradient of a strided convolution, without spreading y by the strides.

The entries of the gradient whose places leave the same remainders by the strides form
a convolution of y, at stride 1, with the taps that reach them; put together they are
the whole. Spread by the strides, y would be mostly zeros to multiply by.

Source: Shi et al., 2016, "Is the deconvolution layer the same as a convolutional
layer?", https://arxiv.org/abs/1609.07009 (for the transposed convolution, which this
is).
"""

import itertools
import math
from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from cnnlab.ops.convolution_form import Form
from cnnlab.ops.image_chunks import in_chunks


def map_gradient_by_remainders(
    kernel: Array, y: Array, form: Form, convolve: Callable[[Array, Array, Form], Array]
) -> Array:
    """The gradient `[N, *spatial, C]` by x of sum(y * conv(x, kernel)).

    `convolve(y, kernel, form)` convolves at stride 1; `form` is not dilated.
    """
    turned = jnp.swapaxes(kernel, -1, -2)
    channels = kernel.shape[-2]
    axes = [
        [_axis(remainder, *axis) for remainder in range(axis[2])]
        for axis in zip(
            form.spatial,
            form.window,
            form.strides,
            form.padding,
            form.output,
            strict=True,
        )
    ]
    sizes = [parts[0][2] for parts in axes]

    def some(y):
        parts = [
            _part(y, turned, combination, sizes, convolve)
            for combination in itertools.product(*axes)
        ]
        spread = jnp.stack(parts, axis=1).reshape(
            y.shape[0], *form.strides, *sizes, channels
        )
        rank = len(sizes)
        order = [i for axis in range(rank) for i in (1 + rank + axis, 1 + axis)]
        whole = jnp.transpose(spread, (0, *order, 2 * rank + 1)).reshape(
            y.shape[0],
            *(n * s for n, s in zip(sizes, form.strides, strict=True)),
            channels,
        )
        return whole[:, *(slice(n) for n in form.spatial)]

    entries = math.prod(y.shape[1:]) + channels * math.prod(form.spatial)
    return in_chunks(some, y, entries=entries)


def _axis(remainder, size, window, stride, padding, output):
    """The taps that reach the remainder, y's padding for them, and how many places."""
    low, _ = padding
    places = -(-size // stride)
    first = (remainder + low) % stride
    taps = range(first, window, stride)
    if not taps:
        return slice(0), (0, 0), places
    # Place q * stride + remainder meets y[q + offset] by each tap.
    offsets = [(remainder + low - tap) // stride for tap in taps]
    return (
        # The offsets grow as the taps fall.
        slice(taps[-1], None, -stride),
        (-offsets[-1], offsets[0] + places - output),
        places,
    )


def _part(y, turned, combination, sizes, convolve):
    taps, padding, _ = zip(*combination, strict=True)
    kernel = turned[taps]
    if kernel.size == 0:
        return jnp.zeros((y.shape[0], *sizes, kernel.shape[-1]), y.dtype)
    window = kernel.shape[:-2]
    ones = (1,) * len(window)
    form = Form(y.shape[1:-1], window, ones, padding, ones, 1)
    return convolve(y, kernel, form)
