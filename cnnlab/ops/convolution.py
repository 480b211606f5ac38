"""Convolution, and how each lowering computes it.

`lowering` says by which program; results on finite maps agree to rounding:

- "auto": the best known for the platform that is lowered for, decided when lowering
  (`contractions`). BUILD_NOTES.md has the measurements.
- "lax": `lax.conv_general_dilated` and JAX's derivatives of it: cuDNN on a GPU, the
  matrix unit on a TPU. On a CPU it is up to three times slower than "auto", and many
  times slower inside `lax.scan`, `lax.map` and `while_loop`, or with kernels under
  `vmap`.
- "im2col": every window is laid out as a row and the kernel applied by one matrix
  product.
"""

import math

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from cnnlab.ops import windows
from cnnlab.ops.contractions import stock_convolution
from cnnlab.ops.convolution_form import Form
from cnnlab.ops.convolution_operands import check_operands
from cnnlab.ops.convolution_primitive import convolve
from cnnlab.ops.named import named

LOWERINGS = ("auto", "lax", "im2col")


def conv(
    x: Float[Array, "*batch_and_space channels_in"],
    kernel: Float[Array, "*window channels_in_per_group channels_out"],
    strides: windows.Sizes = 1,
    padding: windows.Padding = "SAME",
    *,
    dilation: windows.Sizes = 1,
    groups: int = 1,
    boundary: str = "zero",
    lowering: str = "auto",
) -> Float[Array, "*batch_and_space_out channels_out"]:
    """The cross-correlation of `x` with `kernel`, over one to three spatial axes.

    out[..., i, o] = sum over taps t and channels c of
    x[..., strides * i + dilation * t - low, c] * kernel[t, c, o], for each group of
    channels alone. Products of half precision are summed in float32. A circular shift
    of the map by the strides shifts the result by one entry, under padding "SAME",
    boundary "circular" and strides that divide the map. Linear in both arguments.

    Args:
        kernel: WIO, HWIO or DHWIO; its rank says how many axes are spatial.
        padding: how much is padded: "VALID", "SAME", "FULL", an int, or pairs.
        dilation: the distance between the kernel's taps.
        groups: how many groups of channels are convolved apart.
        boundary: what the padding holds: "zero", "circular", "reflect" or "edge".
        lowering: one of `LOWERINGS`.

    Raises:
        ValueError: shapes or options that do not fit.
        TypeError: the map and the kernel are not arrays of one floating-point dtype,
            or a size is not an integer.

    Source: LeCun, Bottou, Bengio and Haffner, 1998, "Gradient-based learning applied to
    document recognition"; groups as in Krizhevsky, Sutskever and Hinton, 2012,
    "ImageNet classification with deep convolutional neural networks", dilation as in Yu
    and Koltun, 2016, "Multi-scale context aggregation by dilated convolutions",
    https://arxiv.org/abs/1511.07122.
    """
    check_operands(x, kernel, groups)
    rank = kernel.ndim - 2
    if lowering not in LOWERINGS:
        raise ValueError(
            f"unknown lowering {lowering!r}; choose from {', '.join(LOWERINGS)}"
        )
    window = windows.geometry(
        x.shape[x.ndim - rank - 1 : -1],
        kernel.shape[:-2],
        strides,
        padding,
        boundary,
        dilation=dilation,
        argument="kernel",
    )
    body = named(
        f"conv({window}, groups={groups})",
        _conv,
        window=window,
        groups=groups,
        lowering=lowering,
    )
    return body(x, kernel)


def _conv(x, kernel, *, window, groups, lowering):
    batch = x.shape[: x.ndim - len(window.strides) - 1]
    if 0 in x.shape or 0 in kernel.shape:
        # Sums of nothing, which not every compiler takes.
        return jnp.zeros((*batch, *window.output_shape, kernel.shape[-1]), x.dtype)
    x = x.reshape(math.prod(batch), *x.shape[len(batch) :])
    if window.boundary == "zero":
        padding = window.padding
    else:
        x = windows.pad(x, window.padding, window.boundary, 0)
        padding = ((0, 0),) * len(window.strides)
    form = Form(
        x.shape[1:-1],
        kernel.shape[:-2],
        window.strides,
        padding,
        window.dilation,
        groups,
    )
    apply = {"auto": convolve, "lax": stock_convolution, "im2col": _im2col}[lowering]
    out = apply(x, kernel, form)
    return out.reshape(*batch, *out.shape[1:])


def _im2col(x, kernel, form):
    groups = form.groups
    x = windows.pad(x, form.padding, "zero", 0)
    window = windows.geometry(
        x.shape[1:-1], form.window, form.strides, "VALID", dilation=form.dilation
    )
    taps = windows.taps(x, window, 0).values
    # [..., taps, groups, channels] by [taps, channels, groups, features].
    rows = jnp.stack(taps, -2).reshape(*taps[0].shape[:-1], len(taps), groups, -1)
    columns = kernel.reshape(len(taps), kernel.shape[-2], groups, -1)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    out = jnp.einsum("...tgc,tcgo->...go", rows, columns, preferred_element_type=wide)
    return out.reshape(*out.shape[:-2], -1).astype(x.dtype)
