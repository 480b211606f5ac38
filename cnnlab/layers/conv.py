"""Convolution with parameters."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from cnnlab.layers.convolution_parameters import channels_of, convolved, window_of
from cnnlab.ops import conv


class Conv(nn.Module):
    """`cnnlab.ops.conv` with a kernel and a bias; parameters are named as in Flax.

    Attributes:
        kernel_size: an int is a square 2-D window; a tuple gives 1 to 3 spatial axes.
        strides, padding, dilation, groups, boundary, lowering: as in `ops.conv`.
        dtype: of the computation; None takes it from the input and the parameters.
    """

    features: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: str | int | Sequence = "SAME"
    dilation: int | Sequence[int] = 1
    groups: int = 1
    boundary: str = "zero"
    lowering: str = "auto"
    use_bias: bool = True
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch_and_space channels"]
    ) -> Float[Array, "*batch_and_space_out features"]:
        channels = channels_of(x, features=self.features, groups=self.groups)
        if channels % self.groups:
            raise ValueError(
                f"groups {self.groups} does not divide {channels} channels"
            )
        size = window_of(self.kernel_size)
        shape = (*size, channels // self.groups, self.features)
        return convolved(
            self,
            conv,
            x,
            {"kernel": shape},
            self.features,
            groups=self.groups,
            lowering=self.lowering,
        )
