"""Convolution with parameters."""

from collections.abc import Sequence, Sized

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from cnnlab.ops import conv, windows


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
        size = window_of(self.kernel_size)
        if self.groups < 1 or x.shape[-1] % self.groups:
            raise ValueError(
                f"groups {self.groups} does not divide {x.shape[-1]} channels"
            )
        shape = (*size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias = self.param(
                "bias", self.bias_init, (self.features,), self.param_dtype
            )
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        x = conv(
            x,
            kernel,
            self.strides,
            self.padding,
            dilation=self.dilation,
            groups=self.groups,
            boundary=self.boundary,
            lowering=self.lowering,
        )
        return x if bias is None else x + bias


def window_of(kernel_size: int | Sequence[int]) -> tuple[int, ...]:
    """`kernel_size` per axis, for the layers: an int is a square of two axes.

    Raises:
        ValueError, TypeError: an entry below 1, or not an integer.
    """
    rank = len(kernel_size) if isinstance(kernel_size, Sized) else 2
    return windows.sizes(kernel_size, rank, "kernel_size")
