"""Blur before subsampling, and the three recipes that put it into a network.

Each operator is a dense one (at stride 1), then a binomial low-pass filter at the
strides: what the strides would fold onto lower frequencies is mostly filtered out.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from cnnlab.ops import windows
from cnnlab.ops.convolution import conv
from cnnlab.ops.named import named
from cnnlab.ops.pool_definition import Traits, mapped, pools
from cnnlab.ops.pooling import avg_pool, max_pool
from cnnlab.ops.reductions import wide
from cnnlab.ops.windows import Geometry

# Up to this many taps, a 3x3 filter's, one pass over the map is the faster on a CPU.
# After a dense operator none is: XLA would compute its entry anew for every tap.
ONE_PASS = 9


def binomial(window_shape: Sequence[int]) -> np.ndarray:
    """The binomial filter of that shape, of sum 1: an outer product of binomial rows.

    A row of size 2 is [1, 1] / 2, of size 3 [1, 2, 1] / 4, of size 5 [1, 4, 6, 4, 1] /
    16: the coins' law, exact in floating point.
    """
    rows = (
        [math.comb(n - 1, i) / 2 ** (n - 1) for i in range(n)] for n in window_shape
    )
    return functools.reduce(np.multiply.outer, map(np.array, rows))


@pools.register
@mapped()
def blur_pool(x: Array, window: Geometry, *, count_include_pad: bool = True) -> Array:
    """Each window's mean under the binomial filter of the window's shape.

    The gain is 1 at frequency 0 and, along an axis of window size 2 or more, 0 at the
    Nyquist frequency. Under boundary "circular", where the strides divide the map, a
    shift by the strides shifts the result by one entry; other shifts do so roughly. The
    gradient is the filter's transpose.

    Args:
        count_include_pad: whether padding counts as entries of value 0. False divides
            by the weight of the entries on the map.

    Source: Zhang, 2019, section 3.2, "Making convolutional networks shift-invariant
    again", https://arxiv.org/abs/1904.11486; theirs reflects the map at its border,
    which is boundary="reflect" with padding (size - 1) / 2.
    """
    blur = _blur if count_include_pad else _mean
    return blur(wide(x), window, ONE_PASS)


@pools.register
@mapped(traits=Traits(local=False))
def max_blur_pool(
    x: Array, window: Geometry, *, filter_size: windows.Sizes = 3
) -> Array:
    """The maximum of each window at stride 1, blurred at the strides.

    The result has the size of `max_pool`'s under the same window: the maxima take the
    padding, and the blur reads (filter_size - 1) // 2 maxima before and filter_size //
    2 after each that it keeps. Beyond the first and the last these are the maxima of
    the map as the boundary continues it; under "zero" nothing is there, and the weights
    of the others are scaled to sum 1.

    Under boundary "circular", where the strides divide the map and the result has one
    entry per stride, a shift by the strides shifts the result by one entry. The first
    of equal entries takes a window's whole gradient.

    Args:
        filter_size: the binomial filter's; 1 is `max_pool`.

    Source: Zhang, 2019, section 3.2, "Making convolutional networks shift-invariant
    again", https://arxiv.org/abs/1904.11486; theirs reflects the maxima at the border.
    """
    # By axes, the last first: the same maximum, and the same first of equals.
    dense = functools.partial(_by_axes, max_pool, window.window_shape)
    return _blurred(dense, x, window, filter_size)


@pools.register
@mapped(traits=Traits(local=False))
def avg_blur_pool(
    x: Array,
    window: Geometry,
    *,
    filter_size: windows.Sizes = 3,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window at stride 1, blurred at the strides.

    Sizes, borders and the shift guarantee are those of `max_blur_pool`. The gradient is
    the two filters' transpose.

    Args:
        filter_size: the binomial filter's; 1 is `avg_pool`.
        count_include_pad: as in `avg_pool`, of the means; the blur has no padding.

    Source: as `max_blur_pool`; Zhang's network blurs in place of the mean, which is
    `blur_pool`.
    """

    mean = functools.partial(avg_pool, count_include_pad=count_include_pad)
    dense = functools.partial(_by_axes, mean, window.window_shape)
    return _blurred(dense, wide(x), window, filter_size)


def conv_blur(
    x: Float[Array, "*batch_and_space channels_in"],
    kernel: Float[Array, "*window channels_in_per_group channels_out"],
    strides: windows.Sizes = 1,
    padding: windows.Padding = "SAME",
    *,
    filter_size: windows.Sizes = 3,
    activation: Callable[[Array], Array] | None = None,
    dilation: windows.Sizes = 1,
    groups: int = 1,
    boundary: str = "zero",
    lowering: str = "auto",
) -> Float[Array, "*batch_and_space_out channels_out"]:
    """The convolution of `x` with `kernel` at stride 1, blurred at the strides.

    The result has the size of `conv`'s under the same arguments. Borders and the shift
    guarantee are those of `max_blur_pool`; gradients are `conv`'s.

    Args:
        filter_size: the binomial filter's; 1 without activation is `conv`.
        activation: a function of every entry, taken before the blur: the paper's ReLU.
        kernel, strides, padding, dilation, groups, boundary, lowering: as in `conv`.

    Raises:
        ValueError, TypeError: as `conv`.

    Source: as `max_blur_pool`.
    """
    options = {"dilation": dilation, "groups": groups, "lowering": lowering}
    strided = functools.partial(
        conv, strides=strides, padding=padding, boundary=boundary, **options
    )
    jax.eval_shape(strided, x, kernel)  # raises what conv raises
    rank = kernel.ndim - 2
    window = windows.geometry(
        windows.spatial_shape(x, rank),
        kernel.shape[:-2],
        strides,
        padding,
        boundary,
        dilation=dilation,
    )
    filter_size = windows.sizes(filter_size, rank, "filter_size")
    body = named(
        f"conv_blur({window}, groups={groups}, filter_size={filter_size})",
        _conv_blur,
        window=window,
        filter_size=filter_size,
        activation=activation,
        groups=groups,
        lowering=lowering,
    )
    return body(x, kernel)


def _conv_blur(x, kernel, *, window, filter_size, activation, groups, lowering):
    def dense(x, padding):
        options = {"dilation": window.dilation, "groups": groups, "lowering": lowering}
        out = conv(x, kernel, 1, padding, **options)
        return activation(out) if activation else out

    return _blurred(dense, x, window, filter_size).astype(x.dtype)


def _blurred(dense, x, window, filter_size):
    """`dense(x, padding)`, an operator at stride 1, blurred at `window`'s strides."""
    rank = len(window.strides)
    sizes = windows.sizes(filter_size, rank, "filter_size")
    margins = tuple(((size - 1) // 2, size // 2) for size in sizes)
    if window.boundary == "zero":
        x = dense(x, window.padding)
    else:
        # Continued before the dense operator, so that a circular map stays a torus
        # even where its padding is not what would keep the size.
        pairs = zip(window.padding, margins, strict=True)
        padding = tuple((a + c, b + d) for (a, b), (c, d) in pairs)
        x = dense(windows.pad(x, padding, window.boundary, 0), ((0, 0),) * rank)
        margins = "VALID"
    spatial = windows.spatial_shape(x, rank)
    blur = windows.geometry(spatial, sizes, window.strides, margins)
    return _mean(wide(x), blur, 1)


def _by_axes(pool, window_shape, x, padding):
    """`pool` at stride 1 on one axis after the other, the last first."""
    for axis in reversed(range(len(padding))):
        size = _only((axis,), window_shape, 1)
        x = pool(x, size, 1, _only((axis,), padding, (0, 0)))
    return x


def _mean(x, window, most_taps):
    """The blur, divided by the weight of the entries on the map."""
    blurred = _blur(x, window, most_taps)
    if window.boundary != "zero":
        return blurred
    spatial = windows.spatial_shape(x, len(window.strides))
    weight = _blur(jnp.ones((*spatial, 1), x.dtype), window, most_taps)
    return blurred * (1 / jnp.where(weight == 0, 1, weight))


def _blur(x, window, most_taps):
    """The sum of every window's entries, weighted by the binomial filter.

    In one pass where that takes at most so many taps, else axis by axis, last first.
    """
    axes = tuple(range(len(window.strides)))
    together = math.prod(window.window_shape) <= most_taps
    for some in (axes,) if together else ((axis,) for axis in reversed(axes)):
        one = windows.geometry(
            windows.spatial_shape(x, len(axes)),
            _only(some, window.window_shape, 1),
            _only(some, window.strides, 1),
            _only(some, window.padding, (0, 0)),
            window.boundary,
        )
        weights = binomial(one.window_shape).ravel().tolist()
        taps = windows.taps(x, one, 0)
        weighted = (weight * tap for weight, tap in zip(weights, taps, strict=True))
        x = functools.reduce(operator.add, weighted)
    return x


def _only(axes, values, elsewhere):
    """`values` on these axes, and what changes nothing on the others."""
    return tuple(v if axis in axes else elsewhere for axis, v in enumerate(values))
