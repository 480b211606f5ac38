"""Blocks of one shape after one another."""

from collections.abc import Callable

import flax.linen as nn
from jax import Array


def repeated(
    block: Callable[[], nn.Module],
    times: int,
    x: Array,
    train: bool,
    *,
    scan: bool = False,
) -> Array:
    """`x` through so many blocks, each with parameters of its own.

    Args:
        block: makes one that keeps the shape of its map.
        scan: whether they run as one compiled loop. Their variables are then one tree,
            with an axis for the blocks before all others.
    """
    if not scan:
        for _ in range(times):
            x = block()(x, train=train)
        return x
    if times < 1:
        return x
    loop = nn.scan(
        lambda layer, x, _: (layer(x, train=train), None),
        variable_axes={"params": 0, "batch_stats": 0, "intermediates": 0},
        split_rngs={"params": True, "pool": True, "dropout": True},
        length=times,
    )
    return loop(block(), x, None)[0]
