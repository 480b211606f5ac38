"""What all architectures share: their options, and the layers that heed them."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from cnnlab.layers.batch_norm import BatchNorm
from cnnlab.layers.subsampling import (
    resolve_downsample,
    strided_conv,
    strided_pool,
)
from cnnlab.ops import pools, windows
from cnnlab.ops.arguments import check_choice, check_count, check_flag


class Network(nn.Module, kw_only=True):
    """A network from images `[batch, height, width, channels]` to scores of classes.

    A family's class adds its own attributes. Those without a default tell its members
    apart; the others are options of every member (`create_model`).

    Attributes:
        num_classes: how many scores an image gets.
        pool: the spec or function of the pool at the places where the family pools; in
            a family that can subsample without one None says so, and a pool takes the
            place of what it has instead.
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
    # Whether `pool=None` has a meaning.
    subsamples_without_pool = False

    def __post_init__(self):
        super().__post_init__()
        checks = {int: check_count, bool: check_flag}
        for field in dataclasses.fields(self):
            if field.type in checks:
                checks[field.type](field.name, getattr(self, field.name))
        if self.pool is not None:
            check_spec("pool", self.pool, pools.resolve)
        elif not self.subsamples_without_pool:
            raise ValueError(f"pool=None: {type(self).__name__} needs a pool")
        if self.downsample is not None:
            check_spec("downsample", self.downsample, resolve_downsample)
        check_choice("boundary", self.boundary, windows.BOUNDARIES)
        if self.dtype is not None:
            _check_dtype(self.dtype)

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

    def norm(self, train: bool) -> Callable[..., BatchNorm]:
        """What makes a `layers.BatchNorm` of the module in which it is called."""
        return functools.partial(BatchNorm, not train, dtype=self.dtype)


def check_spec(option: str, value: Any, resolve: Callable) -> None:
    """Refuses what is neither text nor a function, and a text that `resolve` refuses.

    Raises:
        ValueError: an unknown name, or a malformed spec.
        TypeError: neither text nor a function.
    """
    if not (isinstance(value, str) or callable(value)):
        raise TypeError(f"{option} takes a spec or a function, got {value!r}")
    resolve(value)


def _check_dtype(dtype: Any) -> None:
    try:
        known = jnp.issubdtype(jnp.dtype(dtype), jnp.floating)
    except (TypeError, ValueError):
        known = False
    if not known:
        raise ValueError(
            f"unknown dtype {dtype!r}; float32, bfloat16 and float16 are some"
        )


def options_of(network: type[Network]) -> list[str]:
    """The options that `create_model` takes for a network of this class."""
    not_options = {"num_classes", "parent", "name"}
    return [
        field.name
        for field in dataclasses.fields(network)
        if field.default is not dataclasses.MISSING and field.name not in not_options
    ]
