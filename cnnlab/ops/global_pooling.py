"""Pools to a size that does not depend on the map's: one entry, or a given shape.

A global pool is `pool(x, *, axes=2, **options)`: it makes `[*batch, features]` of a map
`[*batch, *spatial, channels]` with that many spatial axes. `@global_pools.register`
enters it as a model's head.
"""

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Num

from cnnlab.ops import windows
from cnnlab.ops.named import named
from cnnlab.ops.reductions import check_numbers, wide
from cnnlab.ops.registry import Registry

global_pools = Registry("global pool")


def over_entries(body: Callable[[Array], Array]) -> Callable:
    """The global pool whose `body` takes `[*batch, entries, channels]`, row-major."""

    def pool(
        x: Num[Array, "*batch_and_space channels"], *, axes: int = 2
    ) -> Num[Array, "*batch features"]:
        (axes,) = windows.sizes(axes, 1, "axes")
        if axes > 3:
            raise ValueError(f"axes {axes} must be 1 to 3")
        spatial = _spatial_shape(x, axes)
        # The window is the map: that is what tools which read geometry want to know.
        call = named(
            f"{body.__name__}(window_shape={spatial})", _flat, compute=body, axes=axes
        )
        return call(x)

    for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(pool, attribute, getattr(body, attribute))
    return pool


@global_pools.register
@over_entries
def global_max_pool(entries: Array) -> Array:
    """The largest entry of each channel.

    The first of equal entries, row-major, takes the whole gradient; a NaN anywhere is
    the result. Any circular shift of the map leaves it the same.

    Args:
        axes: how many axes are spatial, 1 to 3.

    Source: Oquab, Bottou, Laptev and Sivic, 2015, "Is object localization for free?
    Weakly-supervised learning with convolutional neural networks",
    https://openaccess.thecvf.com/content_cvpr_2015/papers/Oquab_Is_Object_Localization_2015_CVPR_paper.pdf;
    theirs pools the scores of classes.
    """
    return _first_largest(entries, -2)


@global_pools.register
@over_entries
def global_avg_pool(entries: Array) -> Array:
    """The mean of each channel.

    All entries share the gradient equally. A circular shift of the map changes it by
    the rounding of the sum alone.

    Args:
        axes: how many axes are spatial, 1 to 3.

    Raises:
        TypeError: `x` is not of a floating-point dtype.

    Source: Lin, Chen and Yan, 2013, section 3.2, "Network in network",
    https://arxiv.org/abs/1312.4400
    """
    return jnp.mean(wide(entries), -2)


@global_pools.register
@over_entries
def global_concat_pool(entries: Array) -> Array:
    """The largest entry of each channel, then the mean of each: twice the channels.

    Gradients and shifts are those of `global_max_pool` and `global_avg_pool`.

    Args:
        axes: how many axes are spatial, 1 to 3.

    Raises:
        TypeError: `x` is not of a floating-point dtype.

    Source: as those two; both at once are the head of fastai's networks,
    `AdaptiveConcatPool2d`, https://docs.fast.ai/layers.html.
    """
    largest = _first_largest(entries, -2)
    return jnp.concatenate([largest, jnp.mean(wide(entries), -2)], -1)


def adaptive_avg_pool(
    x: Num[Array, "*batch_and_space channels"], output_shape: windows.Sizes
) -> Num[Array, "*batch_and_space_out channels"]:
    """The means of regions that cover the map, as many as `output_shape` says.

    Along an axis of n entries, region i of m is floor(i n / m) up to, not including,
    ceil((i + 1) n / m), as in PyTorch: regions overlap where m does not divide n, and
    hold one entry each where n divides m. All entries of a region share its gradient
    equally. Where m divides n, shifts by n / m shift the result by one.

    Args:
        output_shape: one size for each of one to three spatial axes; an int is a square
            of two.

    Raises:
        ValueError: a size below 1, or more of them than the map has axes for.
        TypeError: `x` is not of a floating-point dtype, or a size is no integer.

    Source: He, Zhang, Ren and Sun, 2014, "Spatial pyramid pooling in deep convolutional
    networks for visual recognition", https://arxiv.org/abs/1406.4729, one level of it;
    its regions are ceil(n / m) entries long, floor(n / m) apart.
    """
    return _adaptive("adaptive_avg_pool", _mean, x, output_shape)


def adaptive_max_pool(
    x: Num[Array, "*batch_and_space channels"], output_shape: windows.Sizes
) -> Num[Array, "*batch_and_space_out channels"]:
    """The largest entries of the regions of `adaptive_avg_pool`.

    The first of equal entries of a region, row-major, takes its whole gradient; a NaN
    in the region is the result. Shifts are as for `adaptive_avg_pool`.

    Args:
        output_shape: as in `adaptive_avg_pool`.

    Raises:
        ValueError, TypeError: as `adaptive_avg_pool`, but for integer maps.

    Source: as `adaptive_avg_pool`.
    """
    return _adaptive("adaptive_max_pool", _largest, x, output_shape)


def _flat(x, *, compute, axes):
    batch, entries = x.shape[: x.ndim - axes - 1], math.prod(_spatial_shape(x, axes))
    return compute(x.reshape(*batch, entries, x.shape[-1])).astype(x.dtype)


def _adaptive(name, reduce, x, output_shape):
    rank = windows.rank_of(output_shape, "output_shape")
    _spatial_shape(x, rank)
    output_shape = windows.sizes(output_shape, rank, "output_shape")
    call = named(
        f"{name}(output_shape={output_shape})",
        _axis_by_axis,
        reduce=reduce,
        output_shape=output_shape,
    )
    return call(x)


def _axis_by_axis(x, *, reduce, output_shape):
    """Means of means, or maxima of maxima: a region is a product of intervals."""
    out = x
    # From the last axis, so that the first maximum found is the row-major first.
    for axis, count in enumerate(reversed(output_shape), 2):
        out = reduce(*_regions(out, -axis, count), -axis)
    return out.astype(x.dtype)


def _regions(x: Array, axis: int, count: int) -> tuple[Array, np.ndarray]:
    """The entries of each region along `axis`, on that axis, regions before them.

    And which of them are real, `[regions, entries]`: a shorter region repeats its last.
    """
    size = x.shape[axis]
    starts, ends = region_bounds(size, count)
    longest = np.max(ends - starts)
    places = starts[:, None] + np.arange(longest)
    real = places < ends[:, None]
    if size % count == 0:
        split = x.ndim + axis
        shape = (*x.shape[:split], count, longest, *x.shape[split + 1 :])
        return x.reshape(shape), real
    return jnp.take(x, np.minimum(places, ends[:, None] - 1), axis, mode="clip"), real


def region_bounds(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where `count` regions that cover `size` entries begin, and where they end."""
    i = np.arange(count)
    return i * size // count, -(-(i + 1) * size // count)


def _mean(entries: Array, real: np.ndarray, axis: int) -> Array:
    kept = jnp.where(_beside(real, axis), wide(entries), 0)
    return jnp.sum(kept, axis) / _beside(real.sum(axis=1), axis)


def _largest(entries: Array, real: np.ndarray, axis: int) -> Array:
    # A repeated entry never comes first.
    return _first_largest(entries, axis)


def _first_largest(entries: Array, axis: int) -> Array:
    """The maximum along `axis`, whose gradient goes to the first of equal entries.

    Which that is comes first: the backward pass is then a comparison, not a scatter.
    """
    first = jnp.argmax(lax.stop_gradient(entries), axis, keepdims=True)
    here = lax.broadcasted_iota(first.dtype, entries.shape, entries.ndim + axis)
    return jnp.sum(jnp.where(here == first, entries, 0), axis, dtype=entries.dtype)


def _beside(of_regions: np.ndarray, axis: int) -> np.ndarray:
    """`[regions, ...]` with the axes that follow them in the map."""
    return of_regions.reshape(*of_regions.shape, *(1,) * (-axis - 1))


def _spatial_shape(x: Array, rank: int) -> tuple[int, ...]:
    spatial = windows.spatial_shape(x, rank)
    check_numbers(x)
    if 0 in spatial:
        raise ValueError(f"a map of spatial shape {spatial} has nothing to pool")
    return spatial
