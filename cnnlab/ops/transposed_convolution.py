"""The transposed convolution: a convolution's exact adjoint."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from cnnlab.ops import windows
from cnnlab.ops.convolution import conv
from cnnlab.ops.convolution_operands import check_operands
from cnnlab.ops.named import named


def conv_transpose(
    x: Float[Array, "*batch_and_space channels_in"],
    kernel: Float[Array, "*window channels_out_per_group channels_in"],
    strides: windows.Sizes = 1,
    padding: windows.Padding = "SAME",
    *,
    dilation: windows.Sizes = 1,
    groups: int = 1,
    boundary: str = "zero",
    output_shape: windows.Sizes | None = None,
) -> Float[Array, "*batch_and_space_out channels_out"]:
    """The adjoint, applied to `x`, of `conv` with the same kernel and options.

    sum(conv_transpose(x, kernel) * y) = sum(x * conv(y, kernel)) for every map y:

    out[..., strides * i + dilation * t - low, c] = the sum over all i, t and channels o
    that land there of x[..., i, o] * kernel[t, c, o]

    What lands on the padding is lost under boundary "zero", and otherwise goes to the
    entry that the padding is a copy of. Linear in both arguments; it commutes with
    circular shifts of `x` (by `strides` entries of the result for one of `x`) under
    boundary "circular" where the result is `strides` times `x`.

    Several sizes of map give `conv` one size of result where a stride exceeds 1. Of a
    map of n entries and a kernel of extent e = (window - 1) * dilation + 1 this makes

    - "SAME": n * strides, and "VALID": max(n * strides, (n - 1) * strides + e), which
      are Flax's sizes;
    - otherwise the smallest, (n - 1) * strides + e - low - high (PyTorch's), "FULL"
      being low = high = e - 1;

    unless `output_shape` names another.

    Args:
        kernel: that of the forward convolution, WIO, HWIO or DHWIO, whose last axis is
            the channels of `x`. It is what PyTorch keeps, as [in, out, *window], and
            Flax under `transpose_kernel=True`; Flax's default is this one with its
            spatial axes flipped and its last two axes exchanged.
        padding, boundary: of the forward convolution; see `conv`.
        output_shape: the spatial shape of the result; None chooses as above.

    Raises:
        ValueError: shapes or options that do not fit.
        TypeError: the map and the kernel are not of one floating-point dtype.

    Source: Zeiler, Krishnan, Taylor and Fergus, 2010, "Deconvolutional networks";
    sizes as in Dumoulin and Visin, 2016, chapter 4, "A guide to convolution arithmetic
    for deep learning", https://arxiv.org/abs/1603.07285.
    """
    check_operands(x, kernel, groups, transposed=True)
    rank = kernel.ndim - 2
    path = strides, padding, boundary
    size = x.shape[x.ndim - rank - 1 : -1]
    if output_shape is None:
        output_shape = _default_shape(size, kernel.shape[:-2], *path[:2], dilation)
    output_shape = windows.sizes(output_shape, rank, "output_shape")
    window = windows.geometry(
        output_shape, kernel.shape[:-2], *path, dilation=dilation, argument="kernel"
    )
    if window.output_shape != size:
        raise ValueError(
            f"a convolution makes {window.output_shape} of the output_shape "
            f"{output_shape}, not the map's {size}"
        )
    body = named(
        f"conv_transpose({window}, groups={groups})",
        _conv_transpose,
        shape=output_shape,
        window=window,
        groups=groups,
    )
    return body(x, kernel)


def _conv_transpose(x, kernel, *, shape, window, groups):
    dtype = x.dtype
    if window.boundary != "zero":
        # An entry and its copies in the padding are summed apart from the products.
        wide = jnp.promote_types(dtype, jnp.float32)
        x, kernel = x.astype(wide), kernel.astype(wide)

    def forward(y):
        return conv(
            y,
            kernel,
            window.strides,
            window.padding,
            dilation=window.dilation,
            groups=groups,
            boundary=window.boundary,
        )

    batch = x.shape[: x.ndim - len(shape) - 1]
    anywhere = jnp.zeros((*batch, *shape, groups * kernel.shape[-2]), x.dtype)
    (out,) = jax.vjp(forward, anywhere)[1](x)
    return out.astype(dtype)


def _default_shape(size, window_shape, strides, padding, dilation):
    rank = len(size)
    strides = windows.sizes(strides, rank, "strides")
    dilation = windows.sizes(dilation, rank, "dilation")
    extents = tuple(
        (w - 1) * d + 1 for w, d in zip(window_shape, dilation, strict=True)
    )
    if padding == "SAME":
        return tuple(n * s for n, s in zip(size, strides, strict=True))
    smallest = tuple(
        (n - 1) * s + e for n, s, e in zip(size, strides, extents, strict=True)
    )
    if padding == "VALID":
        return tuple(
            max(n * s, least)
            for n, s, least in zip(size, strides, smallest, strict=True)
        )
    # Padding other than "SAME" is the same for maps of any size.
    pairs = windows.geometry(
        extents, window_shape, strides, padding, dilation=dilation, argument="kernel"
    ).padding
    return tuple(
        max(least - low - high, 1)
        for least, (low, high) in zip(smallest, pairs, strict=True)
    )
