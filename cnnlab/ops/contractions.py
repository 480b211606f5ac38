"""How each backend computes a convolution and its two gradients.

With `result` "y" they give the convolution of `left` = x and `right` = kernel, with "x"
the map's gradient of (kernel, y), with "kernel" the kernel's gradient of (x, y). Both
have a leading axis of copies, convolved apart.

- `elsewhere`: in the shapes of JAX's own derivatives, which cuDNN and the matrix unit
  of a TPU are met with.
- `on_cpu`: by matrix products where those were faster (`matmul_convolution`), and else
  in the one shape that the compiler's fast kernels take (NHWC by HWIO), maps side by
  side where it would leave them to one thread (`wide_convolution`). At the top of a
  program the compiler would turn the gradients that way by itself, but not inside a
  loop. Groups of channels are convolved one after another, and single channels by
  products alone: the compiler's grouped convolution is up to 200 times slower.
"""

import dataclasses
import functools
import itertools
import math

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnnlab.ops import windows
from cnnlab.ops.convolution_form import Form, result_shape
from cnnlab.ops.image_chunks import LAID_OUT
from cnnlab.ops.matmul_convolution import kernel_gradient_rows, kernel_gradient_windows
from cnnlab.ops.strided_gradient import map_gradient_by_remainders
from cnnlab.ops.wide_convolution import convolve_side_by_side, keeps_one_thread


def on_cpu(left: Array, right: Array, *, result: str, form: Form) -> Array:
    """The contraction, for XLA's CPU backend."""
    one = functools.partial(_on_cpu, result=result, form=form)
    return _one_by_one(one, left, right)


def elsewhere(left: Array, right: Array, *, result: str, form: Form) -> Array:
    """The contraction, for every other backend."""
    one = functools.partial(_derived, stock_convolution, result=result, form=form)
    if len(left) == 1:
        return one(left[0], right[0])[None]
    return jax.vmap(one)(left, right)


def stock_convolution(x: Array, kernel: Array, form: Form) -> Array:
    """The convolution of `[N, *spatial, C]` maps, by JAX's own."""
    return lax.conv_general_dilated(
        x,
        kernel,
        form.strides,
        form.padding,
        rhs_dilation=form.dilation,
        dimension_numbers=_layout(form),
        feature_group_count=form.groups,
    )


def _derived(convolution, left, right, *, result, form):
    """The contraction by JAX's transposition of `convolution`."""
    if result == "y":
        return convolution(left, right, form)
    _, *shape = result_shape(result, (1, *left.shape), (1, *right.shape), form)
    missing = jax.ShapeDtypeStruct(shape, left.dtype)
    if result == "x":
        pull = jax.linear_transpose(lambda x: convolution(x, left, form), missing)
    else:
        pull = jax.linear_transpose(lambda k: convolution(left, k, form), missing)
    return pull(right)[0]


def _on_cpu(left, right, *, result, form):
    if form.groups > 1:
        return _by_groups(left, right, result=result, form=form)
    if result == "y":
        return _convolution(left, right, form)
    if result == "x":
        return _map_gradient(left, right, form)
    return _kernel_gradient(left, right, form)


def _convolution(x, kernel, form):
    if _is_pointwise(form):
        return jnp.tensordot(x, kernel[(0,) * len(form.window)], 1)
    if keeps_one_thread(x, kernel, form):
        return convolve_side_by_side(x, kernel, form)
    return stock_convolution(x, kernel, form)


def _map_gradient(kernel, y, form):
    """The convolution of y, spread by the strides, with the kernel turned around."""
    axes = tuple(range(len(form.strides)))
    turned = jnp.swapaxes(lax.rev(kernel, axes), -1, -2)
    padding = tuple(
        ((w - 1) * d - low, n - 1 - (m - 1) * s + low)
        for (n, w, s, (low, _), d), m in zip(form.axes(), form.output, strict=True)
    )
    if set(form.strides) == {1}:
        form = dataclasses.replace(form, spatial=form.output, padding=padding)
        return _convolution(y, turned, form)
    if set(form.dilation) == {1} and min(turned.shape[-2:]) >= _REMAINDERS_CHANNELS:
        return map_gradient_by_remainders(kernel, y, form, _convolution)
    return lax.conv_general_dilated(
        y,
        turned,
        (1,) * len(axes),
        padding,
        lhs_dilation=form.strides,
        rhs_dilation=form.dilation,
        dimension_numbers=_layout(form),
    )


def _kernel_gradient(x, y, form):
    """The convolution of x with y, spread by the strides."""
    channels, features = x.shape[-1], y.shape[-1]
    if max(channels, features) >= _GRADIENT_CHANNELS and _takes_products(x, y, form):
        if (
            max(channels, features) <= _ROWS_CHANNELS
            and form.strides == (1, 1)
            and _rows_lay_out_less(form.window, channels, features)
        ):
            return kernel_gradient_rows(x, y, _window(form))
        return kernel_gradient_windows(x, y, _window(form))
    if _is_pointwise(form):
        axes = tuple(range(x.ndim - 1))
        return jnp.tensordot(x, y, (axes, axes)).reshape(
            *form.window, x.shape[-1], y.shape[-1]
        )
    padding = [
        (low, (w - 1) * d + (m - 1) * s + 1 - n - low)
        for (n, w, s, (low, _), d), m in zip(form.axes(), form.output, strict=True)
    ]
    # Channels take the place of the batch, and the batch that of the channels.
    out = lax.conv_general_dilated(
        jnp.swapaxes(x, 0, -1),
        jnp.moveaxis(y, 0, -2),
        form.dilation,
        padding,
        rhs_dilation=form.strides,
        dimension_numbers=_layout(form),
    )
    return jnp.moveaxis(out, 0, -2)


# Where others were faster than the compiler's convolution (BUILD_NOTES.md has the
# table). The map's gradient by remainders: with so many channels on both sides.
_REMAINDERS_CHANNELS = 64
# The kernel's gradient by products: with so many channels on either side; by rows up to
# so many.
_GRADIENT_CHANNELS = 16
_ROWS_CHANNELS = 64


def _is_pointwise(form):
    return (
        set(form.window) == {1}
        and set(form.strides) == {1}
        and not any(itertools.chain(*form.padding))
    )


def _takes_products(x, y, form):
    if not isinstance(x.shape[0], int):
        # A batch of a size to be known later, as jax.export takes.
        return False
    one = math.prod(form.output) * (math.prod(form.window) * x.shape[-1] + y.shape[-1])
    return (
        # Sums of half precision have to be kept in float32, which these do not.
        x.dtype in (jnp.float32, jnp.float64)
        and len(x) > 0
        and min(itertools.chain(*form.padding)) >= 0
        # What is laid out for a single large image may not outgrow the operands.
        and one * x.dtype.itemsize <= max(LAID_OUT, (x.nbytes + y.nbytes) / 2)
    )


def _rows_lay_out_less(window, channels, features):
    rows, columns = window
    by_rows = columns * channels + rows * features
    return by_rows < rows * columns * channels + features


def _window(form):
    return windows.Geometry(
        form.window, form.strides, form.padding, "zero", form.dilation, form.output
    )


def _by_groups(left, right, *, result, form):
    # Only the result "x" comes without x, and then the kernel tells.
    channels = left.shape[-2] if result == "x" else left.shape[-1] // form.groups
    if channels == 1:
        return _derived(_tap_by_tap, left, right, result=result, form=form)
    alone = dataclasses.replace(form, groups=1)
    one = functools.partial(_on_cpu, result=result, form=alone)

    def apart(array):
        # The last axis of all three is one of groups: C, F and F.
        split = array.reshape(*array.shape[:-1], form.groups, -1)
        return jnp.moveaxis(split, -2, 0)

    out = jnp.moveaxis(_one_by_one(one, apart(left), apart(right)), 0, -2)
    return out.reshape(*out.shape[:-2], -1)


def _tap_by_tap(x, kernel, form):
    """The convolution of every channel by itself: a sum of products of whole maps."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    padded = windows.pad(x, form.padding, "zero", 0)
    window = windows.geometry(
        padded.shape[1:-1], form.window, form.strides, "VALID", dilation=form.dilation
    )
    taps = windows.taps(padded, window, 0).values
    weights = kernel.reshape(len(taps), form.groups, -1).astype(wide)
    if weights.shape[-1] == 1:
        products = (
            tap.astype(wide) * weight[:, 0]
            for tap, weight in zip(taps, weights, strict=True)
        )
    else:
        products = (
            tap[..., None].astype(wide) * weight
            for tap, weight in zip(taps, weights, strict=True)
        )
    out = functools.reduce(jnp.add, products)
    return out.reshape(*out.shape[: x.ndim - 1], -1).astype(x.dtype)


def _one_by_one(one, left, right):
    if len(left) == 1:
        return one(left[0], right[0])[None]
    return lax.map(lambda pair: one(*pair), (left, right))


def _layout(form):
    spatial = "DHW"[-len(form.strides) :]
    return f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"
