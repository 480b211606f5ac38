"""The smallest net in which strides, the order of layers and the head can be told."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from cnnlab.models.network import Network
from cnnlab.ops.arguments import check_choice

_FEATURES = 4
_STRIDE = 2
_HEADS = {
    "mean": lambda x: jnp.mean(x, (1, 2)),
    "max": lambda x: jnp.max(x, (1, 2)),
    "flatten": lambda x: x.reshape(len(x), -1),
}
HEADS = tuple(_HEADS)
"""What can stand at the end: a mean or a maximum over places, or all entries."""


class TwoLevels(Network, kw_only=True):
    """A 3x3 convolution, ReLU and pool of stride 2, twice; a third one; and a head.

    Nothing mixes what the head gives.

    Attributes:
        pool: None gives the strides to the convolutions.
        window: of the pool, a side.
        third: whether a third convolution and ReLU follow the second pool.
        head: one of `HEADS`.
    """

    pool: str | Callable | None = "max_pool"
    window: int | tuple[int, ...] = 2
    third: bool = True
    head: str = "mean"

    image_shape = (16, 16, 1)
    subsamples_without_pool = True

    def __post_init__(self):
        super().__post_init__()
        check_choice("head", self.head, HEADS)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch features"]:
        for level in range(2 + self.third):
            thins = level < 2
            strides = _STRIDE if thins and self.pool is None else 1
            x = self.conv(x, _FEATURES, 3, strides, train=train)
            if thins and self.pool is not None:
                x = self.subsample(x, self.window, _STRIDE, "SAME", train=train)
        return _HEADS[self.head](x)
