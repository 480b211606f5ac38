"""Single operators: a step moves an operator's inputs down its gradient.

The operator's result is written as well, because in training the next layer needs it.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarking.timing import Row, looping, stepping


class Pooling(NamedTuple):
    """A pool over `[batch, size, size, channels]`, VALID."""

    pool: str
    window: int
    strides: int
    size: int
    channels: int

    def __str__(self) -> str:
        return (
            f"{self.pool} {self.window}x{self.window}/{self.strides}, "
            f"{self.size}x{self.size}x{self.channels}"
        )


class Convolution(NamedTuple):
    """A SAME convolution over `[batch, size, size, channels]`."""

    window: int
    channels: int
    features: int
    size: int
    strides: int = 1

    def __str__(self) -> str:
        stride = f"/{self.strides}" if self.strides > 1 else ""
        return (
            f"conv {self.window}x{self.window}{stride}, {self.channels} to "
            f"{self.features}, {self.size}x{self.size}"
        )


POOLINGS = (
    Pooling("max_pool", 2, 2, 32, 64),
    Pooling("max_pool", 2, 2, 28, 32),
    Pooling("max_pool", 3, 2, 32, 64),
    Pooling("avg_pool", 2, 2, 32, 64),
    Pooling("avg_pool", 3, 2, 32, 64),
)
CONVOLUTIONS = (
    Convolution(3, 3, 64, 32),
    Convolution(5, 1, 32, 28),
    Convolution(1, 64, 64, 32),
    Convolution(3, 64, 128, 32, strides=2),
    Convolution(3, 64, 64, 32),
    Convolution(3, 128, 128, 16),
    Convolution(3, 256, 256, 8),
    Convolution(3, 16, 16, 32),
)


def rows(batch_size: int, peers: Sequence[str], dtype: str) -> Iterator[Row]:
    """The rows of the table, each with the contenders' names: ours first."""
    for row in POOLINGS:
        x = _normal((batch_size, row.size, row.size, row.channels))
        geometry = ((row.window,) * 2, (row.strides,) * 2, "VALID")
        yield str(row), _contenders(_pools(row, geometry, peers), (x,), dtype)
    for row in CONVOLUTIONS:
        x = _normal((batch_size, row.size, row.size, row.channels))
        fan_in = row.window**2 * row.channels
        kernel = _normal((row.window, row.window, row.channels, row.features))
        kernel /= fan_in**0.5
        yield str(row), _contenders(_convolutions(row, peers), (x, kernel), dtype)


def all_pools(batch_size: int, peers: Sequence[str], dtype: str) -> Iterator[Row]:
    """Every registered pool, 2x2/2, with its weights as inputs, and Flax's maximum."""
    from cnnlab.ops import pools
    from cnnlab.ops.pool_definition import weights_of

    for name in pools:
        row = Pooling(name, 2, 2, 32, 64)
        x = abs(_normal((batch_size, row.size, row.size, row.channels)))
        geometry = ((2, 2), (2, 2), "VALID")
        (ours,) = _pools(row, geometry, ()).values()
        weights = weights_of(pools[name], 2, row.channels)

        def weighted(x, *values, ours=ours, names=tuple(weights)):
            return ours(x, **dict(zip(names, values, strict=True)))

        calls = {"ours": weighted}
        if "flax" in peers:
            stock = _pools(POOLINGS[0], geometry, ("flax",))["flax"]
            calls["flax max_pool"] = lambda x, *_, stock=stock: stock(x)
        yield str(row), _contenders(calls, (x, *weights.values()), dtype)


def _pools(row: Pooling, geometry: tuple, peers: Sequence[str]) -> dict[str, Callable]:
    from cnnlab.ops import pools
    from cnnlab.ops.registry import takes

    ours = pools[row.pool]
    if takes(ours, "key"):
        import jax

        ours = functools.partial(ours, key=jax.random.key(0))
    calls: dict[str, Callable] = {
        "ours": lambda x, **weights: ours(x, *geometry, **weights)
    }
    if "flax" in peers:
        import flax.linen as nn

        stock = getattr(nn, row.pool)
        calls["flax"] = lambda x: stock(x, *geometry)
    if "torch" in peers:
        from experiments.benchmarking import torch_peers

        calls["torch"] = torch_peers.pool(row.pool, row.window, row.strides)
    return calls


def _convolutions(row: Convolution, peers: Sequence[str]) -> dict[str, Callable]:
    from jax import lax

    from cnnlab.ops import conv

    strides = (row.strides, row.strides)
    calls: dict[str, Callable] = {"ours": lambda x, k: conv(x, k, strides)}
    if "flax" in peers:
        # What Flax's Conv is made of.
        calls["flax"] = lambda x, k: lax.conv_general_dilated(
            x, k, strides, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    if "torch" in peers:
        from experiments.benchmarking import torch_peers

        calls["torch"] = torch_peers.conv(row.window, row.strides, row.size)
    return calls


def _contenders(
    calls: dict[str, Callable], inputs: tuple, dtype: str
) -> dict[str, Callable]:
    import jax
    import jax.numpy as jnp

    arrays = tuple(jnp.asarray(value, dtype) for value in inputs)
    contenders = {}
    for name, call in calls.items():
        # PyTorch's results have the shape of ours; a pool of other sizes is let be.
        measured = calls["ours"] if name == "torch" else call
        shape = jax.eval_shape(measured, *arrays).shape
        weights = jnp.asarray(_normal(shape), dtype)
        result = jnp.zeros(shape, dtype)
        if name == "torch":
            from experiments.benchmarking import torch_peers

            contenders[name] = functools.partial(
                torch_peers.stepping, call, arrays, weights, dtype
            )
            continue
        work = functools.partial(_step, call), (arrays, result), weights
        contenders[name] = functools.partial(stepping, *work)
        if name == "ours":
            contenders["ours in a loop"] = functools.partial(looping, *work)
    return contenders


def _step(call: Callable, state: Any, weights: Any) -> Any:
    import jax

    inputs, _ = state
    result, pull = jax.vjp(call, *inputs)
    moved = (
        value - 1e-6 * slope for value, slope in zip(inputs, pull(weights), strict=True)
    )
    return tuple(moved), result


def _normal(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)
