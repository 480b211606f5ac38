"""Convolutions whose kernel is a product: one filter per channel, then their mix."""

from jax import Array
from jaxtyping import Float

from cnnlab.ops import windows
from cnnlab.ops.arguments import check_array
from cnnlab.ops.convolution import conv


def depthwise_conv(
    x: Float[Array, "*batch_and_space channels"],
    kernel: Float[Array, "*window 1 channels_times_multiplier"],
    strides: windows.Sizes = 1,
    padding: windows.Padding = "SAME",
    *,
    dilation: windows.Sizes = 1,
    boundary: str = "zero",
) -> Float[Array, "*batch_and_space_out channels_times_multiplier"]:
    """Every channel of `x` convolved with filters of its own, `multiplier` of them.

    out[..., i, c * multiplier + m] = sum over taps t of
    x[..., strides * i + dilation * t - low, c] * kernel[t, 0, c * multiplier + m]

    It is `conv` in as many groups as there are channels, and is traced as that: the
    shift guarantee, the gradients and the names are those of `conv`.

    Args:
        kernel: as `conv` and Flax take it in groups (WIO, HWIO, DHWIO, with I = 1). A
            kernel of TensorFlow and Keras, [*window, channels, multiplier], is this one
            after a reshape.

    Raises:
        ValueError: shapes or options that do not fit.
        TypeError: the map and the kernel are not of one floating-point dtype.

    Source: Sifre, 2014, "Rigid-motion scattering for image classification" (thesis,
    Ecole polytechnique), there in front of a convolution of one tap.
    """
    check_array("the map", x)
    check_array("the kernel", kernel)
    channels = x.shape[-1] if x.ndim else 0
    if (
        not channels
        or kernel.ndim < 2
        or kernel.shape[-2] != 1
        or kernel.shape[-1] % channels
    ):
        raise ValueError(
            f"depthwise kernel of shape {kernel.shape} must be [*window, 1, a multiple "
            f"of the map's {channels} channels]"
        )
    return conv(
        x,
        kernel,
        strides,
        padding,
        dilation=dilation,
        groups=channels,
        boundary=boundary,
    )


def separable_conv(
    x: Float[Array, "*batch_and_space channels"],
    depthwise_kernel: Float[Array, "*window 1 channels_between"],
    pointwise_kernel: Float[Array, "*ones channels_between channels_out"],
    strides: windows.Sizes = 1,
    padding: windows.Padding = "SAME",
    *,
    dilation: windows.Sizes = 1,
    boundary: str = "zero",
) -> Float[Array, "*batch_and_space_out channels_out"]:
    """A `depthwise_conv`, whose channels a convolution of one tap then mixes.

    It is `conv` with the product of the two kernels, for the channels b = c *
    multiplier + m that lie between:

    kernel[t, c, o] = sum over m of
    depthwise_kernel[t, 0, b] * pointwise_kernel[0, b, o]

    which takes taps * channels * channels_out products for an entry of the result,
    where this takes (taps + channels_out) * channels * multiplier.

    Args:
        depthwise_kernel: see `depthwise_conv`.
        pointwise_kernel: WIO, HWIO or DHWIO, with one tap.
        strides, padding, dilation, boundary: of the depthwise convolution.

    Raises:
        ValueError: shapes or options that do not fit.
        TypeError: the map and the kernels are not of one floating-point dtype.

    Source: Chollet, 2017, "Xception: deep learning with depthwise separable
    convolutions", https://arxiv.org/abs/1610.02357.
    """
    x = depthwise_conv(
        x, depthwise_kernel, strides, padding, dilation=dilation, boundary=boundary
    )
    check_array("the pointwise kernel", pointwise_kernel)
    wanted = (1,) * (depthwise_kernel.ndim - 2) + depthwise_kernel.shape[-1:]
    if pointwise_kernel.shape[:-1] != wanted:
        raise ValueError(
            f"pointwise kernel of shape {pointwise_kernel.shape} must be "
            f"({', '.join(map(str, wanted))}, features)"
        )
    return conv(x, pointwise_kernel)
