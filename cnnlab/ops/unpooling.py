"""Max pooling that remembers where its maxima were, and the way back."""

import math
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Int, Num

from cnnlab.ops import windows
from cnnlab.ops.arguments import check_array
from cnnlab.ops.named import named
from cnnlab.ops.pooling import contest
from cnnlab.ops.reductions import check_numbers, entry, wide
from cnnlab.ops.windows import Geometry

OVERLAPS = ("mean", "sum")


def max_pool_with_switches(
    x: Num[Array, "*batch_and_space channels"],
    window_shape: windows.Sizes,
    strides: windows.Sizes = 1,
    padding: windows.Padding = "VALID",
    *,
    boundary: str = "zero",
) -> tuple[
    Num[Array, "*batch_and_space_out channels"],
    Int[Array, "*batch_and_space_out channels"],
]:
    """The maxima of `max_pool`, and the switches: which entry of its window each is.

    A switch is an int32: the entry's row-major index in the window. It does not change
    when the map shifts by the strides, as a position on the map would, and it serves
    every boundary. It names the entry that takes `max_pool`'s gradient: the first of
    equal ones, never the padding, the last NaN. Gradients go through the maxima alone.

    Raises:
        ValueError, TypeError: as any pool; see `windows.geometry`.

    Source: Zeiler and Fergus, 2014, section 2.1, "Visualizing and understanding
    convolutional networks", https://arxiv.org/abs/1311.2901
    """
    spatial = windows.spatial_shape(x, windows.rank_of(window_shape))
    check_numbers(x)
    window = windows.geometry(spatial, window_shape, strides, padding, boundary)
    return named(
        f"max_pool_with_switches({window})", _pooled_and_switches, window=window
    )(x)


def max_unpool(
    pooled: Num[Array, "*batch_and_space channels"],
    switches: Int[Array, "*batch_and_space channels"],
    output_shape: Sequence[int],
    window_shape: windows.Sizes,
    strides: windows.Sizes = 1,
    padding: windows.Padding = "VALID",
    *,
    boundary: str = "zero",
    overlap: str = "mean",
) -> Num[Array, "*batch_and_space_out channels"]:
    """A map with every entry of `pooled` at its switch, and 0 everywhere else.

    It is linear in `pooled`, and its result shifts by the strides when `pooled` and
    `switches` shift by one.

    Args:
        switches: those of `max_pool_with_switches` with the same geometry.
        output_shape: the spatial shape of the map that was pooled.
        overlap: what stands where several windows have the same switch. "mean" of what
            they hold, so that unpooling a pooled map gives its winners; or "sum", which
            is the gradient of max pooling.

    Raises:
        ValueError: the geometry does not make a map like `pooled` of one with
            `output_shape`, or an unknown `overlap`.
        TypeError: `pooled` is not of a floating-point dtype, or `switches` hold no
            integers.

    Source: Zeiler and Fergus, 2014, section 2.1, "Visualizing and understanding
    convolutional networks", https://arxiv.org/abs/1311.2901. They leave open what
    overlapping windows do; in PyTorch any one of them wins.
    """
    if overlap not in OVERLAPS:
        raise ValueError(
            f"unknown overlap {overlap!r}; choose from {', '.join(OVERLAPS)}"
        )
    rank = windows.rank_of(window_shape)
    spatial = windows.spatial_shape(pooled, rank)
    check_array("switches", switches)
    if not jnp.issubdtype(switches.dtype, jnp.integer):
        raise TypeError(f"switches must be integers, got {switches.dtype}")
    if switches.shape != pooled.shape:
        raise ValueError(
            f"switches of shape {switches.shape} must have the shape of the pooled "
            f"map, {pooled.shape}"
        )
    output_shape = windows.sizes(output_shape, rank, "output_shape")
    window = windows.geometry(output_shape, window_shape, strides, padding, boundary)
    if spatial != window.output_shape:
        raise ValueError(
            f"a pooled map of shape {pooled.shape} was wanted with spatial shape "
            f"{window.output_shape}: {window} makes that of output_shape {output_shape}"
        )
    call = named(
        f"max_unpool({window}, output_shape={output_shape}, overlap={overlap!r})",
        _unpooled,
        window=window,
        output_shape=output_shape,
        mean=overlap == "mean",
    )
    return call(pooled, switches)


def _pooled_and_switches(x: Array, window: Geometry) -> tuple[Array, Array]:
    taps = windows.taps(x, window, -math.inf)
    _, switches = contest(taps, operator.gt)
    return entry(taps, switches), switches.astype(jnp.int32)


def _unpooled(pooled, switches, *, window, output_shape, mean):
    held = wide(pooled)
    leading = pooled.shape[: -len(output_shape) - 1]
    unpooled = jax.ShapeDtypeStruct(
        (*leading, *output_shape, pooled.shape[-1]), held.dtype
    )

    def at_switches(x):
        return entry(windows.taps(x, window, 0), switches)

    transpose = jax.linear_transpose(at_switches, unpooled)

    def put(held):
        return transpose(held)[0]

    if not (mean and _may_overlap(window)):
        return put(held).astype(pooled.dtype)
    shares = at_switches(put(jnp.ones_like(held)))
    # A switch on the padding, where a window sees nothing else, is on no entry.
    shares = jnp.maximum(shares, 1)
    out = put(held / shares)
    # Equal values have that value as their mean, to the last bit: what rounding took
    # from it is put back.
    lost = lax.stop_gradient(held - at_switches(out))
    out += put(jnp.where(jnp.isfinite(lost), lost, 0) / shares)
    return out.astype(pooled.dtype)


def _may_overlap(window: Geometry) -> bool:
    gaps = (s - w for s, w in zip(window.strides, window.window_shape, strict=True))
    return min(gaps) < 0 or window.boundary != "zero"
