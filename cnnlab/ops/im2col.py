"""Convolution as matrix multiplication, to read.

For each entry of the result, `im2col` writes the entries of the map under the kernel
into one row. The kernel, with an axis of (tap, channel) and one of features, is a
matrix, and the convolution is their product:

    rows = im2col(x)          [positions, taps * channels]
    matrix = kernel           [taps * channels, features]
    out = rows @ matrix       [positions, features]

So the gradients, for g = d loss / d out, are those of a matrix product:

    d loss / d matrix = rows^T @ g
    d loss / d rows   = g @ matrix^T,  each entry then added to where im2col read it

Written in taps and positions instead, both are convolutions again, `kernel_gradient`
and `input_gradient` (`convolution_gradients`). `conv` computes the same faster; the
tests hold its derivatives to these.

Source: Chellapilla, Puri and Simard, 2006, "High performance convolutional neural
networks for document processing", https://inria.hal.science/inria-00112631, whose rows
have the channels before the taps; Dumoulin and Visin, 2016, chapter 4, "A guide to
convolution arithmetic for deep learning", https://arxiv.org/abs/1603.07285.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Num

from cnnlab.ops import windows
from cnnlab.ops.convolution_gradients import input_gradient, kernel_gradient
from cnnlab.ops.convolution_operands import check_operands
from cnnlab.ops.named import named

__all__ = ["conv_im2col", "im2col", "input_gradient", "kernel_gradient"]


def im2col(
    x: Num[Array, "*batch_and_space channels"],
    window_shape: windows.Sizes,
    strides: windows.Sizes = 1,
    padding: windows.Padding = "SAME",
    *,
    dilation: windows.Sizes = 1,
    boundary: str = "zero",
) -> Num[Array, "*batch_and_space_out taps_times_channels"]:
    """The entries of `x` under the window at each position, as one row.

    rows[..., i, t * channels + c] = x[..., strides * i + dilation * t - low, c], for
    the taps t in row-major order. A linear copy: the gradient of an entry is the sum of
    those of its copies. It takes `taps` times the map's memory.

    Args:
        window_shape: an int is a square 2-D window; a tuple gives 1 to 3 spatial axes.
        padding, boundary: as in `conv`; boundary "zero" pads with zeros.

    Raises:
        ValueError: shapes or options that do not fit.
        TypeError: a map that is not of numbers, or a size that is not an integer.

    Source: Chellapilla, Puri and Simard, 2006 (see above), their rows in another order.
    """
    spatial = windows.spatial_shape(x, windows.rank_of(window_shape))
    if not jnp.issubdtype(x.dtype, jnp.number):
        raise TypeError(f"im2col needs a map of numbers, got {x.dtype}")
    path = strides, padding, boundary
    return _rows(x, windows.geometry(spatial, window_shape, *path, dilation=dilation))


def _rows(x, window):
    return named(f"im2col({window})", _im2col, window=window)(x)


def _im2col(x, *, window):
    return jnp.concatenate(windows.taps(x, window, 0).values, -1)


def conv_im2col(
    x: Float[Array, "*batch_and_space channels_in"],
    kernel: Float[Array, "*window channels_in_per_group channels_out"],
    strides: windows.Sizes = 1,
    padding: windows.Padding = "SAME",
    *,
    dilation: windows.Sizes = 1,
    groups: int = 1,
    boundary: str = "zero",
) -> Float[Array, "*batch_and_space_out channels_out"]:
    """`conv`, as the product of rows and a matrix for each group of channels.

    Products of half precision are summed in float32.

    Raises:
        ValueError, TypeError: as `conv` does.

    Source: Chellapilla, Puri and Simard, 2006 (see above).
    """
    check_operands(x, kernel, groups)
    spatial = windows.spatial_shape(x, kernel.ndim - 2)
    path = strides, padding, boundary
    window = windows.geometry(
        spatial, kernel.shape[:-2], *path, dilation=dilation, argument="kernel"
    )
    call = f"conv_im2col({window}, groups={groups})"
    return named(call, _conv_im2col, window=window, groups=groups)(x, kernel)


def _conv_im2col(x, kernel, *, window, groups):
    wide = jnp.promote_types(x.dtype, jnp.float32)
    features = []
    parts = (jnp.split(array, groups, -1) for array in (x, kernel))
    for part, part_kernel in zip(*parts, strict=True):
        rows = _rows(part, window)
        matrix = part_kernel.reshape(rows.shape[-1], part_kernel.shape[-1])
        features.append(jnp.matmul(rows, matrix, preferred_element_type=wide))
    return jnp.concatenate(features, -1).astype(x.dtype)
