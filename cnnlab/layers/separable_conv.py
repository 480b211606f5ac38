"""Depthwise and separable convolution with parameters."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from cnnlab.layers.convolution_parameters import channels_of, convolved, window_of
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
        shape = _depthwise_shape(self, x)
        return convolved(self, depthwise_conv, x, {"kernel": shape}, shape[-1])


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
        shape = _depthwise_shape(self, x, features=self.features)
        mixing = (*(1,) * len(shape[:-2]), shape[-1], self.features)
        kernels = {"depthwise_kernel": shape, "pointwise_kernel": mixing}
        return convolved(self, separable_conv, x, kernels, self.features)


def _depthwise_shape(layer: nn.Module, x: Array, **counts: int) -> tuple[int, ...]:
    channels = channels_of(x, multiplier=layer.multiplier, **counts)
    return *window_of(layer.kernel_size), 1, channels * layer.multiplier
