"""What the operators should give, by loops in NumPy float64: slow and obvious.

`POOLS` has an entry for every registered pool, under its name. A reference takes
`entries`, the part of one window that lies on the map, `[entries, lanes]` with the
tap's row-major order kept, and `taps`, the window's size with padding counted; then the
operator's own options. A new pool needs one here and nothing else to be tested.
"""

import functools
import itertools
import math

import numpy as np

POOLS = {}


def reference(function):
    """`function`, entered in POOLS under its name."""
    POOLS[function.__name__] = function
    return function


@reference
def max_pool(entries, taps):
    return entries.max(axis=0)


@reference
def avg_pool(entries, taps, count_include_pad=True):
    return entries.sum(axis=0) / (taps if count_include_pad else len(entries))


@reference
def lp_pool(entries, taps, p=2.0, normalize=True, count_include_pad=True):
    total = (np.abs(entries) ** p).sum(axis=0)
    count = taps if count_include_pad else len(entries)
    return (total / count if normalize else total) ** (1 / p)


@reference
def stochastic_pool(entries, taps):
    probabilities = stochastic_probabilities(entries)
    return (probabilities * np.maximum(entries, 0)).sum(axis=0)


def stochastic_probabilities(entries):
    """The law of the draw in one window; all 0 where nothing is above 0."""
    activations = np.maximum(entries, 0)
    total = activations.sum(axis=0)
    return activations / np.where(total == 0, 1, total)


def pool(name, x, *window, **options):
    """The map that the pool `name` makes of `x`, in float64."""
    return apply(functools.partial(POOLS[name], **options), x, *window)


def apply(reduce, x, window_shape, strides=1, padding="VALID", boundary="zero"):
    """The map of `reduce(entries, taps)` over every window of `x`, in float64."""
    rank = 2 if isinstance(window_shape, int) else len(window_shape)
    x = np.asarray(x, np.float64)
    spatial = x.shape[x.ndim - rank - 1 : -1]
    window_shape, strides = each(window_shape, rank), each(strides, rank)
    pairs = padding_pairs(padding, spatial, window_shape, strides)
    taps = math.prod(window_shape)
    lanes, restore = _lanes(x, rank)
    output = _output_shape(spatial, window_shape, strides, pairs)
    out = np.zeros(output + lanes.shape[rank:])
    for corner in itertools.product(*map(range, output)):
        entries = [
            lanes[place]
            for offset in itertools.product(*map(range, window_shape))
            if (place := _place(corner, offset, strides, pairs, spatial, boundary))
        ]
        out[corner] = reduce(np.array(entries), taps)
    return restore(out)


def conv(x, kernel, strides=1, padding="SAME", dilation=1, groups=1, boundary="zero"):
    """The cross-correlation of `x` with `kernel`, in float64."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    rank = kernel.ndim - 2
    spatial = x.shape[x.ndim - rank - 1 : -1]
    strides, dilation = each(strides, rank), each(dilation, rank)
    extent = tuple(
        (n - 1) * d + 1 for n, d in zip(kernel.shape, dilation, strict=False)
    )
    pairs = padding_pairs(padding, spatial, extent, strides)
    output = _output_shape(spatial, extent, strides, pairs)
    batch = x.shape[: x.ndim - rank - 1]
    images = x.reshape(-1, *x.shape[len(batch) :])
    per_group, features = kernel.shape[-2], kernel.shape[-1] // groups
    out = np.zeros((len(images), *output, kernel.shape[-1]))
    for corner in itertools.product(*map(range, output)):
        for tap in itertools.product(*map(range, kernel.shape[:rank])):
            offset = tuple(t * d for t, d in zip(tap, dilation, strict=True))
            place = _place(corner, offset, strides, pairs, spatial, boundary)
            if not place:
                continue
            pixel = images[(slice(None), *place)]
            for group in range(groups):
                ours = slice(group * features, (group + 1) * features)
                theirs = slice(group * per_group, (group + 1) * per_group)
                out[(slice(None), *corner, ours)] += (
                    pixel[:, theirs] @ kernel[tap][:, ours]
                )
    return out.reshape(*batch, *out.shape[1:])


def local_response_norm(x, size=5, k=2.0, alpha=1e-4, beta=0.75):
    """`x` divided channel by channel by what its neighbours hold."""
    x = np.asarray(x, np.float64)
    out = np.empty_like(x)
    for channel in range(x.shape[-1]):
        first = max(channel - size // 2, 0)
        last = channel - size // 2 + size
        total = (x[..., first:last] ** 2).sum(axis=-1)
        out[..., channel] = x[..., channel] / (k + alpha * total) ** beta
    return out


def padding_pairs(padding, spatial, extent, strides):
    """The (low, high) padding of every axis."""
    if padding == "VALID":
        return [(0, 0)] * len(spatial)
    if padding == "FULL":
        return [(e - 1, e - 1) for e in extent]
    if padding == "SAME":
        pairs = []
        for n, e, s in zip(spatial, extent, strides, strict=True):
            outputs = -(-n // s)
            total = max((outputs - 1) * s + e - n, 0)
            pairs.append((total // 2, total - total // 2))
        return pairs
    return [(p, p) if isinstance(p, int) else p for p in each(padding, len(spatial))]


def source(position, size, boundary):
    """Which entry of an axis stands at `position`, or None where nothing does."""
    if 0 <= position < size:
        return position
    if boundary == "circular":
        return position % size
    if boundary == "edge":
        return 0 if position < 0 else size - 1
    if boundary == "reflect":
        while not 0 <= position < size and size > 1:
            position = -position if position < 0 else 2 * (size - 1) - position
        return position if size > 1 else 0
    return None


def _place(corner, offset, strides, pairs, spatial, boundary):
    """Where on the map a tap of the window at `corner` lies, or None."""
    place = tuple(
        source(c * s + o - low, n, boundary)
        for c, o, s, (low, _), n in zip(
            corner, offset, strides, pairs, spatial, strict=True
        )
    )
    return None if None in place else place


def each(value, rank):
    """`value` once per axis."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _output_shape(spatial, extent, strides, pairs):
    return tuple(
        (n + sum(pair) - e) // s + 1
        for n, e, s, pair in zip(spatial, extent, strides, pairs, strict=True)
    )


def _lanes(x, rank):
    """`x` with its spatial axes first, and the way back."""
    leading = x.ndim - rank - 1
    spatial_axes = tuple(range(leading, leading + rank))
    return np.moveaxis(x, spatial_axes, range(rank)), lambda out: np.moveaxis(
        out, range(rank), spatial_axes
    )
