"""Transposed convolution with parameters."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from cnnlab.layers.convolution_parameters import channels_of, convolved, window_of
from cnnlab.ops.transposed_convolution import conv_transpose


class ConvTranspose(nn.Module):
    """`ops.conv_transpose` with a kernel and a bias, kept as Flax keeps them.

    Attributes:
        kernel_size: an int is a square 2-D window; a tuple gives 1 to 3 spatial axes.
        strides, padding, dilation, groups, boundary, output_shape: as in
            `ops.conv_transpose`; padding is that of the convolution it is the adjoint
            of, where Flax's pairs count rows added around the spread map.
        transpose_kernel: whether the kernel is kept as the operator takes it,
            [*window, features / groups, channels], rather than flipped and with its
            channels first, [*window, channels / groups, features].
        dtype: of the computation; None takes it from the input and the parameters.
    """

    features: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: str | int | Sequence = "SAME"
    dilation: int | Sequence[int] = 1
    groups: int = 1
    boundary: str = "zero"
    output_shape: int | Sequence[int] | None = None
    transpose_kernel: bool = False
    use_bias: bool = True
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch_and_space channels"]
    ) -> Float[Array, "*batch_and_space_out features"]:
        features, groups = self.features, self.groups
        channels = channels_of(x, features=features, groups=groups)
        if channels % groups or features % groups:
            raise ValueError(
                f"groups {groups} does not divide {channels} channels and "
                f"{features} features"
            )
        size = window_of(self.kernel_size)
        if self.transpose_kernel:
            shape = (*size, features // groups, channels)
        else:
            shape = (*size, channels // groups, features)

        def apply(x, kernel, *path, **options):
            if not self.transpose_kernel:
                kernel = _transposed(kernel, groups)
            return conv_transpose(x, kernel, *path, **options)

        return convolved(
            self,
            apply,
            x,
            {"kernel": shape},
            features,
            groups=groups,
            output_shape=self.output_shape,
        )


def _transposed(kernel: Array, groups: int) -> Array:
    """`kernel` flipped, its two axes of channels exchanged within every group."""
    *size, channels, features = kernel.shape
    flipped = jnp.flip(kernel, range(len(size)))
    grouped = flipped.reshape(*size, channels, groups, features // groups)
    return grouped.swapaxes(-3, -1).reshape(*size, features // groups, -1)
