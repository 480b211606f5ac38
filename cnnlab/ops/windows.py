"""Window geometry: sizes, strides, padding, boundaries and taps, for every operator."""

import dataclasses
import itertools
import math
import operator
from collections.abc import Iterator, Sequence, Sized

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

# What stands in the padded margin. "zero" means that nothing is there: each operator
# says what that is (0 for sums, -inf for maxima).
BOUNDARIES = {
    "zero": "constant",
    "circular": "wrap",
    "reflect": "reflect",
    "edge": "edge",
}

# What an operator takes for an array.
ARRAYS = (Array, np.ndarray)

Sizes = int | Sequence[int]
Padding = str | int | Sequence[int | Sequence[int]]


@dataclasses.dataclass(frozen=True)
class Geometry:
    """A window's path over a map: one entry per spatial axis, padding in pairs."""

    window_shape: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    boundary: str
    dilation: tuple[int, ...]
    output_shape: tuple[int, ...]

    def __str__(self) -> str:
        return (
            f"window_shape={self.window_shape}, strides={self.strides}, "
            f"padding={self.padding}, boundary={self.boundary!r}"
            + (f", dilation={self.dilation}" if set(self.dilation) != {1} else "")
        )


def geometry(
    spatial_shape: Sequence[int],
    window_shape: Sizes,
    strides: Sizes,
    padding: Padding,
    boundary: str = "zero",
    *,
    dilation: Sizes = 1,
    argument: str = "window_shape",
) -> Geometry:
    """The checked geometry of a window over a map of `spatial_shape`.

    Args:
        padding: "VALID" (none), "SAME" (output size ceil(size / stride), the odd entry
            at the end), "FULL" (all that the window can reach but one), an int for all
            sides, or one int or (low, high) pair per axis.
        argument: what the window is called in error messages.

    Raises:
        ValueError: a size, stride or padding that does not fit the map.
        TypeError: one that is not made of integers.
    """
    rank = len(spatial_shape)
    window_shape = sizes(window_shape, rank, argument)
    strides = sizes(strides, rank, "strides")
    dilation = sizes(dilation, rank, "dilation")
    extent = tuple((w - 1) * d + 1 for w, d in zip(window_shape, dilation, strict=True))
    pairs = _padding_pairs(padding, spatial_shape, extent, strides)
    check_boundary(boundary)
    padded = tuple(n + a + b for n, (a, b) in zip(spatial_shape, pairs, strict=True))
    if any(e > n for e, n in zip(extent, padded, strict=True)):
        raise ValueError(f"{argument} {extent} exceeds the padded map {padded}")
    output = tuple(
        (n - e) // s + 1 for n, e, s in zip(padded, extent, strides, strict=True)
    )
    return Geometry(window_shape, strides, pairs, boundary, dilation, output)


def check_boundary(boundary: str) -> None:
    """Refuses what names no boundary.

    Raises:
        ValueError: it is none of `BOUNDARIES`.
    """
    if not isinstance(boundary, str) or boundary not in BOUNDARIES:
        raise ValueError(
            f"unknown boundary {boundary!r}; choose from {', '.join(BOUNDARIES)}"
        )


def rank_of(window_shape: Sizes, argument: str = "window_shape") -> int:
    """How many spatial axes a window has: two if it is given as an int.

    Raises:
        ValueError: not one to three.
    """
    rank = len(window_shape) if isinstance(window_shape, Sized) else 2
    if not 1 <= rank <= 3:
        raise ValueError(f"{argument} {window_shape} must have 1 to 3 entries")
    return rank


def spatial_shape(x: Array | np.ndarray, rank: int) -> tuple[int, ...]:
    """The sizes of the axes that a window with `rank` axes moves along.

    Raises:
        TypeError: `x` is not an array.
        ValueError: it has too few axes.
    """
    if not isinstance(x, ARRAYS):
        raise TypeError(f"a map must be an array, got {type(x).__name__}")
    if x.ndim < rank + 1:
        raise ValueError(
            f"{rank} spatial axes need a map [*batch, {rank} spatial axes, channels], "
            f"got shape {x.shape}"
        )
    return x.shape[x.ndim - rank - 1 : -1]


def sizes(value: Sizes, rank: int, argument: str) -> tuple[int, ...]:
    """`value` as `rank` positive ints; an int stands for all axes.

    Raises:
        ValueError: the wrong number of entries, or one below 1.
        TypeError: an entry that is not an integer.
    """
    entries = _entries(value, rank, argument)
    if len(entries) != rank:
        raise ValueError(
            f"{argument} {entries} has {len(entries)} entries for {rank} spatial axes"
        )
    entries = tuple(_index(entry, argument) for entry in entries)
    if min(entries) < 1:
        raise ValueError(f"{argument} {entries} must be at least 1 everywhere")
    return entries


def pad(x: Array, padding: Sequence[tuple[int, int]], boundary: str, fill) -> Array:
    """`x` with its spatial axes (all but leading batch axes and channels) padded."""
    if not any(itertools.chain(*padding)):
        return x
    leading = x.ndim - len(padding) - 1
    widths = ((0, 0),) * leading + tuple(padding) + ((0, 0),)
    if boundary == "zero":
        return jnp.pad(x, widths, constant_values=fill)
    return jnp.pad(x, widths, mode=BOUNDARIES[boundary])


@dataclasses.dataclass(frozen=True)
class Taps:
    """The entries of every window, row-major: one array of the output's shape each.

    `real` says for each tap where it lies on the map and not on its padding: a bool
    array that broadcasts against the tap, or None where no window is padded.
    """

    values: tuple[Array, ...]
    real: tuple[np.ndarray, ...] | None

    def __iter__(self) -> Iterator[Array]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def map(self, function) -> "Taps":
        """The taps with `function` applied to each."""
        return Taps(tuple(function(tap) for tap in self.values), self.real)


def taps(x: Array, window: Geometry, fill) -> Taps:
    """The taps of `x` under `window`.

    Args:
        fill: what the padding holds under boundary "zero"; an infinity becomes the
            extreme of an integer dtype.
    """
    if math.isinf(fill) and jnp.issubdtype(x.dtype, jnp.integer):
        extremes = jnp.iinfo(x.dtype)
        fill = extremes.max if fill > 0 else extremes.min
    padded = pad(x, window.padding, window.boundary, fill)
    values = tuple(_strided(padded, offset, window) for offset in offsets(window))
    if window.boundary != "zero" or not any(itertools.chain(*window.padding)):
        return Taps(values, None)
    spatial = spatial_shape(x, len(window.strides))
    inside = np.pad(np.ones(spatial, bool), window.padding)[..., None]
    masks = tuple(_strided(inside, offset, window) for offset in offsets(window))
    return Taps(values, masks)


def offsets(window: Geometry) -> Iterator[tuple[int, ...]]:
    """Every tap's distance from the window's first entry, row-major."""
    ends = (
        size * step
        for size, step in zip(window.window_shape, window.dilation, strict=True)
    )
    return itertools.product(*map(range, itertools.repeat(0), ends, window.dilation))


def _strided(x, offset: tuple[int, ...], window: Geometry):
    """The entries `offset`, `offset + stride`, ... of the spatial axes of `x`."""
    leading = x.ndim - len(offset) - 1
    start = (0,) * leading + offset + (0,)
    spans = tuple(
        (n - 1) * s + 1
        for n, s in zip(window.output_shape, window.strides, strict=True)
    )
    limit = tuple(o + span for o, span in zip(offset, spans, strict=True))
    limit = x.shape[:leading] + limit + x.shape[-1:]
    strides = (1,) * leading + window.strides + (1,)
    if isinstance(x, np.ndarray):
        return x[tuple(map(slice, start, limit, strides))]
    return lax.slice(x, start, limit, strides)


def _padding_pairs(padding, spatial_shape, extent, strides):
    rank = len(spatial_shape)
    if isinstance(padding, str):
        if padding == "VALID":
            return ((0, 0),) * rank
        if padding == "SAME":
            totals = (
                max((math.ceil(n / s) - 1) * s + e - n, 0)
                for n, e, s in zip(spatial_shape, extent, strides, strict=True)
            )
            return tuple((total // 2, total - total // 2) for total in totals)
        if padding == "FULL":
            return tuple((e - 1, e - 1) for e in extent)
        raise ValueError(
            f"unknown padding {padding!r}; choose from VALID, SAME, FULL, "
            "or give an int or (low, high) pairs"
        )
    entries = _entries(padding, rank, "padding")
    if len(entries) != rank:
        raise ValueError(
            f"padding {entries} has {len(entries)} entries for {rank} spatial axes"
        )
    pairs = tuple(_entries(entry, 2, "padding") for entry in entries)
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"padding {pairs} must be one (low, high) pair per axis")
    pairs = tuple(tuple(_index(side, "padding") for side in pair) for pair in pairs)
    if min(itertools.chain(*pairs)) < 0:
        raise ValueError(f"padding {pairs} must not be negative")
    return pairs


def is_integer(value) -> bool:
    """Whether `value` is one integer rather than a sequence of them."""
    return isinstance(value, (int, np.integer))


def _entries(value, count: int, argument: str) -> tuple:
    if is_integer(value):
        return (value,) * count
    try:
        return tuple(value)
    except TypeError:
        raise TypeError(f"{argument} takes integers, got {value!r}") from None


def _index(value, argument: str) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{argument} takes integers, got {value!r}") from None
