"""Pooling as a layer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.core import FrozenDict
from jax import Array
from jaxtyping import Float

from cnnlab.ops import pools, windows
from cnnlab.ops.pool_definition import weights_of
from cnnlab.ops.registry import takes


class Pool(nn.Module):
    """Any pool by name, spec or function: `Pool("lp_pool", p=3.0)`, `Pool("max_pool")`.

    A pool that draws takes its key from the rng stream "pool" when `train` is true, and
    gives its expectation when it is false. A pool that learns has those of its weights
    as parameters, under their own names, that spec and options leave open.

    Attributes:
        pool: a name or spec from `ops.pools`, or any function
            `(x, window_shape, strides, padding, **options)`.
        strides: None means the window's own size.
        boundary: what the padding holds; "zero" (nothing) suits operators without it.
        options: keywords of the operator; they may also be given directly.
    """

    pool: str | Callable
    window_shape: int | Sequence[int] = 2
    strides: int | Sequence[int] | None = None
    padding: str | int | Sequence = "VALID"
    boundary: str = "zero"
    options: Mapping[str, Any] = FrozenDict()

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch_and_space channels"], *, train: bool = False
    ) -> Float[Array, "*batch_and_space_out channels"]:
        pool = pools.resolve(self.pool)
        windows.spatial_shape(x, windows.rank_of(self.window_shape))
        strides = self.window_shape if self.strides is None else self.strides
        options = dict(self.options)
        if self.boundary != "zero":
            options["boundary"] = self.boundary
        for name, first in weights_of(pool, self.window_shape, x.shape[-1]).items():
            if options.get(name) is None:
                options[name] = self.param(name, _constant, first)
        if train and takes(pool, "key"):
            options["key"] = self.make_rng("pool")
        return pool(x, self.window_shape, strides, self.padding, **options)


def _constant(key: Array, first: np.ndarray) -> Array:
    return jnp.asarray(first, jnp.float32)


def _accept_options_directly(cls: type[Pool]) -> None:
    """Lets `Pool(...)` collect unknown keywords into `options`."""
    dataclass_init = cls.__init__
    fields = set(cls.__dataclass_fields__)

    def __init__(self, *args, options=None, **keywords):
        own = {k: v for k, v in keywords.items() if k in fields}
        more = {k: v for k, v in keywords.items() if k not in fields}
        if not isinstance(options, Mapping | None):
            raise TypeError(f"options must be a mapping, got {options!r}")
        options = FrozenDict({**(options or {}), **more})
        dataclass_init(self, *args, options=options, **own)

    cls.__init__ = __init__


_accept_options_directly(Pool)
