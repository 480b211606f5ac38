"""The places where a network thins its maps, each by its own strides or all alike.

With `downsample=None` a convolution, pool or slice takes its own strides, as papers
draw them. With the spec of a pool it runs at stride 1, and that pool takes the strides:
`"blur_pool(window_shape=4)"`, `"adaptive_polyphase(pool=None)"`. A `window_shape` that
is not given is as large as the strides. Map sizes and parameters are the same either
way, but for a pool's own weights. A block's projection comes after the pool; a stem
that leaves its activation to the first block is thinned before it.

Source: Zhang, 2019, "Making convolutional networks shift-invariant again",
https://arxiv.org/abs/1904.11486, whose recipe this is: dense operator, activation,
filter and strides.
"""

import itertools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from cnnlab.layers.conv import Conv
from cnnlab.layers.convolution_parameters import window_of
from cnnlab.layers.pool import Pool
from cnnlab.ops import pools, windows
from cnnlab.ops.registry import parse_spec, unwrapped

Downsample = str | Callable | None


def strided_conv(
    x: Array,
    features: int,
    kernel_size: windows.Sizes,
    strides: windows.Sizes = 1,
    padding: windows.Padding = "SAME",
    *,
    then: Callable[[Array], Array] = nn.relu,
    downsample: Downsample = None,
    boundary: str = "zero",
    train: bool = False,
    **options,
) -> Array:
    """A `Conv` of `x` and what follows it, thinned by `strides`.

    Args:
        then: the normalisation and the activation, taken before `downsample` is.
        options: those of `Conv`.
    """

    def dense(x, strides, padding):
        layer = Conv(features, kernel_size, strides, padding, **options)
        return then(layer(x))

    options["boundary"] = boundary
    window = _window(
        x, window_of(kernel_size), strides, padding, boundary, argument="kernel"
    )
    return _thinned(dense, x, window, downsample, train)


def strided_pool(
    x: Array,
    pool: str | Callable,
    window_shape: windows.Sizes,
    strides: windows.Sizes,
    padding: windows.Padding = "VALID",
    *,
    downsample: Downsample = None,
    boundary: str = "zero",
    train: bool = False,
) -> Array:
    """`x` under a `Pool`, thinned by `strides`."""

    def dense(x, strides, padding):
        layer = Pool(pool, window_shape, strides, padding, boundary=boundary)
        return layer(x, train=train)

    window = _window(x, window_shape, strides, padding, boundary)
    return _thinned(dense, x, window, downsample, train)


def thin(
    *maps: Array,
    strides: windows.Sizes,
    downsample: Downsample = None,
    boundary: str = "zero",
    train: bool = False,
):
    """One entry of each map for every stride; a tuple for more than one map.

    A choice of what to keep that depends on the image is one for all the maps together,
    so that what is added afterwards still belongs together.
    """
    rank = windows.rank_of(strides, "strides")
    steps = windows.sizes(strides, rank, "strides")
    if downsample is None:
        every = (..., *(slice(None, None, step) for step in steps), slice(None))
        thinned = tuple(x[every] for x in maps)
        return thinned if len(thinned) > 1 else thinned[0]
    pool, window_shape = resolve_downsample(downsample)
    size = steps if window_shape is None else window_shape
    size = windows.sizes(size, rank, "window_shape")

    def keep(x):
        padding = tuple(map(_as_a_slice, windows.spatial_shape(x, rank), size, steps))
        return Pool(pool, size, steps, padding, boundary=boundary)(x, train=train)

    traits = getattr(unwrapped(pool)[0], "traits", None)
    if len(maps) > 1 and traits is not None and traits.shift_exact:
        ends = list(itertools.accumulate(x.shape[-1] for x in maps))[:-1]
        thinned = tuple(jnp.split(keep(jnp.concatenate(maps, -1)), ends, -1))
    else:
        thinned = tuple(keep(x) for x in maps)
    return thinned if len(thinned) > 1 else thinned[0]


def _as_a_slice(entries: int, size: int, stride: int) -> tuple[int, int]:
    """The padding with which windows begin as often as a slice has entries."""
    low = (size - 1) // 2
    kept = -(-entries // stride)
    return low, max((kept - 1) * stride + size - entries - low, 0)


def check_thinned(
    x: Array, thinned: Array, strides: windows.Sizes, downsample: Downsample
) -> None:
    """Refuses a map that has not kept one entry of `x` for every stride.

    Raises:
        ValueError: it has other sides.
    """
    rank = windows.rank_of(strides, "strides")
    before, after = (windows.spatial_shape(of, rank) for of in (x, thinned))
    steps = windows.sizes(strides, rank, "strides")
    wanted = tuple(-(-n // step) for n, step in zip(before, steps, strict=True))
    if after != wanted:
        raise ValueError(
            f"downsample {downsample!r} makes a map of {after} of one of {before}, "
            f"where strides {steps} keep {wanted}; choose a pool that goes by strides"
        )


def resolve_downsample(spec: str | Callable) -> tuple[Callable, windows.Sizes | None]:
    """The pool of a `downsample=` spec, and its window (None: as large as the strides).

    Raises:
        ValueError: an unknown pool or option, or a malformed spec.
        TypeError: neither text nor a function.
    """
    if not isinstance(spec, str):
        return pools.resolve(spec), None
    name, options = parse_spec(spec)
    window_shape = options.pop("window_shape", None)
    listed = ", ".join(f"{option}={value!r}" for option, value in options.items())
    return pools.resolve(f"{name}({listed})"), window_shape


def _window(x, window_shape, strides, padding, boundary, *, argument="window_shape"):
    spatial = windows.spatial_shape(x, windows.rank_of(window_shape))
    path = window_shape, strides, padding, boundary
    return windows.geometry(spatial, *path, argument=argument)


def _thinned(layer, x, window, downsample, train):
    """`layer(x, strides, padding)` at `window`'s strides, or dense and thinned."""
    if downsample is None or set(window.strides) == {1}:
        return layer(x, window.strides, window.padding)
    x = layer(x, 1, _dense_padding(x, window))
    thinned = thin(
        x,
        strides=window.strides,
        downsample=downsample,
        boundary=window.boundary,
        train=train,
    )
    check_thinned(x, thinned, window.strides, downsample)
    # A torus has windows at every place, also where the strided operator has none.
    return thinned[(..., *map(slice, window.output_shape), slice(None))]


def _dense_padding(x: Array, window: windows.Geometry) -> tuple[tuple[int, int], ...]:
    """The padding at stride 1, from which the strides keep as many entries.

    A torus stays one: as many windows as entries, if that is enough.
    """
    if window.boundary != "circular":
        return window.padding
    padding = []
    spatial = windows.spatial_shape(x, len(window.strides))
    for entries, kept, stride, size, (low, _) in zip(
        spatial,
        window.output_shape,
        window.strides,
        window.window_shape,
        window.padding,
        strict=True,
    ):
        dense = entries if kept <= -(-entries // stride) else kept * stride
        padding.append((low, max(dense + size - 1 - entries - low, 0)))
    return tuple(padding)
