"""Median pooling, by a network of exchanges that sorts the taps of every window."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnnlab.ops.pool_definition import pools, windowed
from cnnlab.ops.reductions import entry, wide
from cnnlab.ops.windows import Taps


@pools.register
@windowed(fill=np.inf)
def median_pool(taps: Taps) -> Array:
    """The median of each window; of an even number of entries, the middle two's mean.

    So the median of -x is minus that of x, as with NumPy's; PyTorch takes the lower of
    the two, which in a 2x2 window is the second smallest entry.

    The middle entry takes the gradient (the middle two, half of it each), the first of
    entries that are equal to it. Padding counts as absent: the median is of the
    entries on the map, and NaN where there are none. A NaN in the window is the result,
    with gradient 0. A shift of the map by a multiple of the strides shifts the result,
    boundary aside. Order does not matter within a window. n taps cost about
    n (log2 n)^2 / 2 minima and maxima, fewer where only the middle is wanted.

    Source: Tukey, 1974, "Nonlinear (nonsuperposable) methods for smoothing data";
    Batcher, 1968, "Sorting networks and their applications" (the network),
    https://doi.org/10.1145/1468075.1468121
    """
    taps = taps.map(wide)
    ordered = _sorted(taps.map(lax.stop_gradient))
    entries = len(taps) if taps.real is None else np.sum(taps.real, axis=0)
    lower, upper = (entries - 1) // 2, entries // 2
    if np.array_equal(lower, upper):
        return _first_equal(taps, _at(ordered, lower))
    # Halved apart, so that their sum cannot overflow.
    middle = (_first_equal(taps, _at(ordered, rank)) / 2 for rank in (lower, upper))
    return sum(middle)


def _sorted(taps: Taps) -> list[Array]:
    """The taps in ascending order. XLA drops the exchanges that no one reads."""
    ordered = list(taps)
    for low, high in _exchanges(len(ordered)):
        pair = ordered[low], ordered[high]
        ordered[low], ordered[high] = jnp.minimum(*pair), jnp.maximum(*pair)
    return ordered


def _exchanges(count: int) -> Iterator[tuple[int, int]]:
    """The places that Batcher's odd-even merge sort compares, in their order."""
    run = 1
    while run < count:
        distance = run
        while distance:
            for start in range(distance % run, count - distance, 2 * distance):
                for low in range(start, min(start + distance, count - distance)):
                    high = low + distance
                    if low // (2 * run) == high // (2 * run):
                        yield low, high
            distance //= 2
        run *= 2


def _at(ordered: list[Array], rank: int | np.ndarray) -> Array:
    """The entry of that rank, which may differ from window to window; NaN for -1."""
    first, *others = np.unique(rank)
    value = ordered[first] if first >= 0 else jnp.full_like(ordered[0], jnp.nan)
    for other in others:
        value = jnp.where(rank == other, ordered[other], value)
    return value


def _first_equal(taps: Taps, value: Array) -> Array:
    """`value`, as the first of the window's entries that is equal to it."""
    # Which one that is is settled as a number without gradient: the backward pass then
    # compares it and need not sort again for every tap.
    none = len(taps)
    index = jnp.full(value.shape, none, np.min_scalar_type(none))
    for i in reversed(range(len(taps))):
        found = taps.values[i] == value
        if taps.real is not None:
            found &= taps.real[i]
        index = jnp.where(found, index.dtype.type(i), index)
    # A NaN is equal to nothing.
    return jnp.where(index == none, value, entry(taps, index))
