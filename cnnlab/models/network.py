"""What all architectures share: their options, and the places where they subsample."""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from cnnlab.layers.subsampling import (
    resolve_downsample,
    strided_conv,
    strided_pool,
)
from cnnlab.ops import pools, windows


class Network(nn.Module, kw_only=True):
    """A network from images `[batch, height, width, channels]` to scores of classes.

    A family's class adds its own attributes. Those without a default tell its members
    apart; the others are options of every member (`create_model`).

    Attributes:
        num_classes: how many scores an image gets.
        pool: the spec or function of the pool at the places where the family pools; in
            a family that subsamples by strides alone None says so, and a pool takes
            their place.
        downsample: None, or the spec of a pool that takes every stride of the network:
            see `layers.subsampling`.
        boundary: what convolutions and pools see beyond the map.
        dtype: of the computation; None takes it from images and parameters.
    """

    num_classes: int = 1000
    pool: str | Callable | None = "max_pool"
    downsample: str | Callable | None = None
    boundary: str = "zero"
    dtype: DTypeLike | None = None

    # The images of the paper, `(height, width, channels)`.
    image_shape = (224, 224, 3)

    def __post_init__(self):
        super().__post_init__()
        if self.pool is not None:
            pools.resolve(self.pool)
        if self.downsample is not None:
            resolve_downsample(self.downsample)
        windows.check_boundary(self.boundary)
        if self.dtype is not None:
            try:
                jnp.dtype(self.dtype)
            except TypeError:
                raise ValueError(
                    f"unknown dtype {self.dtype!r}; float32, bfloat16 and float16 are "
                    "some"
                ) from None

    def conv(self, x: Array, *args, train: bool = False, **options) -> Array:
        """`layers.subsampling.strided_conv` under the network's options."""
        return strided_conv(
            x,
            *args,
            downsample=self.downsample,
            boundary=self.boundary,
            dtype=self.dtype,
            train=train,
            **options,
        )

    def subsample(self, x: Array, *args, train: bool = False) -> Array:
        """The network's pool by `layers.subsampling.strided_pool`."""
        return strided_pool(
            x,
            self.pool,
            *args,
            downsample=self.downsample,
            boundary=self.boundary,
            train=train,
        )


def options_of(network: type[Network]) -> list[str]:
    """The options that `create_model` takes for a network of this class."""
    not_options = {"num_classes", "parent", "name"}
    return [
        field.name
        for field in dataclasses.fields(network)
        if field.default is not dataclasses.MISSING and field.name not in not_options
    ]
