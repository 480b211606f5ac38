"""Fractional max pooling: maxima of regions whose distances vary along an axis."""

import math
import numbers

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Int, Key

from cnnlab.ops import windows
from cnnlab.ops.pool_definition import Traits, mapped, pools
from cnnlab.ops.pooling import max_pool
from cnnlab.ops.windows import Geometry


@pools.register
@mapped(traits=Traits(local=False, selecting=True))
def fractional_max_pool(
    x: Array,
    window: Geometry,
    *,
    ratio: float | tuple[float, ...] = 2**0.5,
    pseudo_random: bool = True,
    key: Key[Array, ""] | None = None,
) -> Array:
    """The largest entry of each of floor(size / ratio) regions along every axis.

    Regions have the window's shape: they overlap where `ratio` is below it, and leave
    entries out where it is above. Where they start stands for the
    strides, which serve "SAME" padding alone: the first starts at the (padded) map's
    edge and the last ends at the other. With a size of n entries, windows of k and m
    regions, alpha = (n - k) / (m - 1), and region i (from 0) starts at

        floor(alpha (i + u)) - floor(alpha u), u in [0, 1)

    if pseudo-random; if random, the starts are floor(alpha) or ceil(alpha) apart, in an
    order drawn from all that end in place. A single region of an axis ends at its end.

    The first of equal entries takes the gradient, padding never wins, and NaN is seen,
    as in `max_pool`. No shift of the map is promised to shift the result.

    Args:
        ratio: by how much an axis shrinks, for all axes or one each; at least 1. There
            is at least one region, and no more than the window has places.
        pseudo_random: whether starts follow the equation above or a random order.
        key: draws u, or the order, for each axis and each image, the same for all
            channels. None is u = 1/2, in either mode.

    Raises:
        ValueError: ratio is below 1, not finite, or not one for each axis.
        TypeError: ratio is not made of numbers.

    Source: Graham, 2014, section 2, "Fractional max-pooling",
    https://arxiv.org/abs/1412.6071. Its ceil(alpha (i + u)) gives these starts for all
    u but those where it jumps; its regions reach from one start to the next or its
    neighbour, ours are of one size, as in PyTorch (which draws for each channel too).
    """
    rank = len(window.window_shape)
    padded = tuple(
        n + low + high
        for n, (low, high) in zip(
            windows.spatial_shape(x, rank), window.padding, strict=True
        )
    )
    counts = _region_counts(padded, window.window_shape, _ratios(ratio, rank))
    largest = max_pool(
        x, window.window_shape, 1, window.padding, boundary=window.boundary
    )
    batch = x.shape[: -rank - 1]
    keys = (None,) * rank if key is None else jax.random.split(key, rank)
    # Only the maxima are gathered: once per axis, not once per entry of the window.
    for axis, (count, axis_key) in enumerate(zip(counts, keys, strict=True)):
        span = padded[axis] - window.window_shape[axis]
        starts = _starts(span, count, pseudo_random, axis_key, batch)
        largest = _take(largest, starts, len(batch), axis)
    return largest


def _starts(
    span: int, count: int, pseudo_random: bool, key, batch
) -> Int[Array, "..."]:
    """Where `count` regions start, the last at `span`; of each image, if drawn."""
    if count == 1:
        return jnp.array([span])
    gaps = count - 1
    if key is not None and not pseudo_random:
        short, long_gaps = divmod(span, gaps)
        lengths = jnp.broadcast_to(
            short + (jnp.arange(gaps) < long_gaps), (*batch, gaps)
        )
        lengths = jax.random.permutation(key, lengths, axis=-1, independent=True)
        ends = jnp.cumsum(lengths, axis=-1)
        return jnp.pad(ends, ((0, 0),) * len(batch) + ((1, 0),))
    # floor((span i + span u) / gaps) knows no more of span u than its whole part: in
    # integers the last start is where it has to be, which rounding would not promise.
    if key is None:
        offset = jnp.array([span // 2])
    else:
        offset = jax.random.randint(key, (*batch, 1), 0, max(span, 1))
    return (span * jnp.arange(count) + offset) // gaps - offset // gaps


def _take(x: Array, starts: Int[Array, "..."], batch_axes: int, axis: int) -> Array:
    """The entries of `x` along spatial axis `axis` at `starts`, which ascend."""

    def take(image, starts):
        return image.at[(slice(None),) * axis + (starts,)].get(
            indices_are_sorted=True, unique_indices=True, mode="promise_in_bounds"
        )

    if starts.ndim == 1:
        axis += batch_axes
        return take(x, starts)
    for _ in range(batch_axes):
        take = jax.vmap(take)
    return take(x, starts)


def _region_counts(padded, window_shape, ratios) -> tuple[int, ...]:
    return tuple(
        max(1, min(math.floor(n / r), n - k + 1))
        for n, k, r in zip(padded, window_shape, ratios, strict=True)
    )


def _ratios(ratio, rank: int) -> tuple[float, ...]:
    ratios = ratio if isinstance(ratio, tuple) else (ratio,) * rank
    if not all(isinstance(entry, numbers.Real) for entry in ratios):
        raise TypeError(f"ratio takes numbers, got {ratio!r}")
    if len(ratios) != rank:
        raise ValueError(
            f"ratio {ratio!r} has {len(ratios)} entries for {rank} spatial axes"
        )
    if not all(1 <= entry < math.inf for entry in ratios):
        raise ValueError(f"ratio {ratio!r} must be finite and at least 1")
    return ratios
