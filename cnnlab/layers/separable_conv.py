"""Depthwise and separable convolution with parameters."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from cnnlab.layers.conv import window_of
from cnnlab.ops.separable_convolution import depthwise_conv, separable_conv


class DepthwiseConv(nn.Module):
    """`ops.depthwise_conv` with a kernel and a bias, as Flax's `Conv` in groups.

    Attributes:
        kernel_size: an int is a square 2-D window; a tuple gives 1 to 3 spatial axes.
        multiplier: how many filters each channel has.
        strides, padding, dilation, boundary: as in `ops.conv`.
        dtype: of the computation; None takes it from the input and the parameters.
    """

    kernel_size: int | Sequence[int]
    multiplier: int = 1
    strides: int | Sequence[int] = 1
    padding: str | int | Sequence = "SAME"
    dilation: int | Sequence[int] = 1
    boundary: str = "zero"
    use_bias: bool = True
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch_and_space channels"]
    ) -> Float[Array, "*batch_and_space_out features"]:
        shape = _depthwise_shape(self.kernel_size, x.shape[-1], self.multiplier)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias = self.param("bias", self.bias_init, shape[-1:], self.param_dtype)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        x = depthwise_conv(
            x,
            kernel,
            self.strides,
            self.padding,
            dilation=self.dilation,
            boundary=self.boundary,
        )
        return x if bias is None else x + bias


class SeparableConv(nn.Module):
    """`ops.separable_conv` with two kernels and a bias.

    Attributes:
        kernel_size: an int is a square 2-D window; a tuple gives 1 to 3 spatial axes.
        multiplier: how many filters each channel has before they are mixed.
        strides, padding, dilation, boundary: of the depthwise part, as in `ops.conv`.
        dtype: of the computation; None takes it from the input and the parameters.
        kernel_init: of both kernels, whose fan-in is their own.
    """

    features: int
    kernel_size: int | Sequence[int]
    multiplier: int = 1
    strides: int | Sequence[int] = 1
    padding: str | int | Sequence = "SAME"
    dilation: int | Sequence[int] = 1
    boundary: str = "zero"
    use_bias: bool = True
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch_and_space channels"]
    ) -> Float[Array, "*batch_and_space_out features"]:
        shape = _depthwise_shape(self.kernel_size, x.shape[-1], self.multiplier)
        mixing = (*(1,) * len(shape[:-2]), shape[-1], self.features)
        depthwise = self.param(
            "depthwise_kernel", self.kernel_init, shape, self.param_dtype
        )
        pointwise = self.param(
            "pointwise_kernel", self.kernel_init, mixing, self.param_dtype
        )
        bias = None
        if self.use_bias:
            bias = self.param(
                "bias", self.bias_init, (self.features,), self.param_dtype
            )
        x, depthwise, pointwise, bias = promote_dtype(
            x, depthwise, pointwise, bias, dtype=self.dtype
        )
        x = separable_conv(
            x,
            depthwise,
            pointwise,
            self.strides,
            self.padding,
            dilation=self.dilation,
            boundary=self.boundary,
        )
        return x if bias is None else x + bias


def _depthwise_shape(
    kernel_size: int | Sequence[int], channels: int, multiplier: int
) -> tuple[int, ...]:
    if multiplier < 1:
        raise ValueError(f"multiplier {multiplier} must be at least 1")
    return *window_of(kernel_size), 1, channels * multiplier
