"""Pooling: what one window of a map is reduced to.

Every operator here is `pool(x, window_shape, strides=1, padding="VALID", **options)`:

- `x`: `[*batch, *spatial, channels]`, any number of batch axes. An int `window_shape`
  is a square 2-D window; a tuple gives one to three spatial axes.
- `strides`, `padding`: as in `flax.linen`, and more (see `windows.geometry`).
- `boundary`: what the padded margin holds; "zero" means nothing: padding then never
  wins a maximum and is never drawn.

To add one, write the reduction of its taps and register it: `@pools.register
@windowed(fill=...)`. Sums run in at least float32 and the result has the map's dtype.
"""

import functools
import inspect
import itertools
import math
import numbers
import operator
from collections.abc import Callable, Sized

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Key, Num

from cnnlab.ops import windows
from cnnlab.ops.named import named
from cnnlab.ops.registry import Registry
from cnnlab.ops.windows import Taps

pools = Registry("pool")


def windowed(fill: float = 0.0) -> Callable[[Callable], Callable]:
    """Makes a pool of a reduction `reduce_taps(taps, **options) -> Array`.

    Args:
        fill: what a tap on the padding holds under boundary "zero" (an infinity becomes
            the extreme of an integer dtype).
    """

    def decorate(reduce_taps: Callable) -> Callable:
        def pool(
            x: Num[Array, "*batch_and_space channels"],
            window_shape: windows.Sizes,
            strides: windows.Sizes = 1,
            padding: windows.Padding = "VALID",
            *,
            boundary: str = "zero",
            **options,
        ) -> Num[Array, "*batch_and_space_out channels"]:
            window = _geometry(x, window_shape, strides, padding, boundary)
            arrays = {k: v for k, v in options.items() if isinstance(v, _ARRAYS)}
            static = {k: v for k, v in options.items() if k not in arrays}
            spec = "".join(f", {k}={v!r}" for k, v in static.items() if v is not None)
            body = named(
                f"{reduce_taps.__name__}({window}{spec})",
                _reduce,
                reduce_taps=reduce_taps,
                window=window,
                fill=fill,
                **static,
            )
            return body(x, **arrays)

        parameters = list(inspect.signature(pool).parameters.values())
        own = inspect.signature(reduce_taps).parameters.values()
        parameters[-1:] = [p for p in own if p.kind == p.KEYWORD_ONLY]
        pool.__signature__ = inspect.Signature(parameters)
        for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(pool, attribute, getattr(reduce_taps, attribute))
        return pool

    return decorate


@pools.register
@windowed(fill=-math.inf)
def max_pool(taps: Taps) -> Array:
    """The largest entry of each window.

    The first of equal entries takes the whole gradient, padding never wins, and a NaN
    in the window is the result (as in PyTorch).
    """
    best, *others = taps.values
    seen = taps.real and taps.real[0]
    for i, tap in enumerate(others, 1):
        wins = (tap > best) | (tap != tap)
        if taps.real is not None:
            # An entry that equals the padding's -inf still comes before it.
            wins |= taps.real[i] & ~seen
            seen = seen | taps.real[i]
        best = jnp.where(wins, tap, best)
    return best


@pools.register
@windowed()
def avg_pool(taps: Taps, *, count_include_pad: bool = True) -> Array:
    """The mean of each window.

    Args:
        count_include_pad: whether padding counts as entries of value 0. False divides
            by the number of entries on the map.
    """
    taps = taps.map(_wide)
    return _sum(taps) / _count(taps, count_include_pad)


@pools.register
@windowed()
def lp_pool(
    taps: Taps,
    *,
    p: float = 2.0,
    normalize: bool = True,
    count_include_pad: bool = True,
) -> Array:
    """The p-norm mean (mean |x|^p)^(1/p) of each window.

    It is the mean of the magnitudes at p = 1 and tends to their maximum as p grows. A
    window of zeros gives 0 with gradient 0.

    Args:
        p: the exponent, a finite number of at least 1.
        normalize: False gives (sum |x|^p)^(1/p), PyTorch's form.
        count_include_pad: as in `avg_pool`.

    Raises:
        ValueError: p is below 1 or not finite.
        TypeError: p is not a number.

    Source: Sermanet, Chintala and LeCun, 2012, equation 1, "Convolutional neural
    networks applied to house numbers digit classification",
    https://arxiv.org/abs/1204.3968; theirs weights the window by a Gaussian.
    """
    if not isinstance(p, numbers.Real):
        raise TypeError(f"p takes a number, got {p!r}")
    if not 1 <= p < math.inf:
        raise ValueError(f"p {p!r} must be a finite number of at least 1")
    magnitudes = taps.map(lambda tap: jnp.abs(_wide(tap)))
    scale, shares = _scaled(magnitudes)
    total = _sum(shares.map(lambda share: _power(share, p)))
    if normalize:
        total = total / _count(taps, count_include_pad)
    return jnp.where(total == 0, 0, scale * _power(total, 1 / p))


@pools.register
@windowed()
def stochastic_pool(taps: Taps, *, key: Key[Array, ""] | None = None) -> Array:
    """An entry of each window, drawn in proportion to its activation, or its mean.

    Entry a_i is drawn with probability a_i / sum(a), independently for every window and
    channel, and takes the gradient alone (equations 1 and 2). Without a key the result
    is the mean of that draw, sum(a_i^2) / sum(a_i) (equation 3).

    Activations are meant to be non-negative, as after a ReLU: a negative one counts as
    0, so it is never drawn. A window with nothing above 0 gives 0 with gradient 0.

    Args:
        key: the randomness of training; None is the paper's test-time pooling.

    Source: Zeiler and Fergus, 2013, "Stochastic pooling for regularization of deep
    convolutional neural networks", https://arxiv.org/abs/1301.3557
    """
    weights = taps.map(lambda tap: jnp.maximum(_wide(tap), 0))
    if key is None:
        scale, shares = _scaled(weights)
        total = _sum(shares)
        empty = total == 0
        mean = _sum(shares.map(jnp.square)) / jnp.where(empty, 1, total)
        return jnp.where(empty, 0, scale * mean)
    # Which tap is drawn is settled first, as a number without gradient: the backward
    # pass then compares it and need not add up the weights again for every tap.
    cumulative = tuple(itertools.accumulate(map(lax.stop_gradient, weights)))
    total = cumulative[-1]
    threshold = total * jax.random.uniform(key, total.shape, total.dtype)
    index = sum((reached <= threshold).astype(jnp.int32) for reached in cumulative)
    # NaN and infinity have no law to draw from: they stay visible as NaN.
    index = jnp.where(jnp.isfinite(total), index, len(taps))
    drawn = total * 0
    for i, tap in enumerate(taps):
        drawn = jnp.where(index == i, tap, drawn)
    return drawn


# Arrays among a pool's options are traced; everything else is part of its name.
_ARRAYS = (jax.Array, np.ndarray)


def _geometry(x, window_shape, strides, padding, boundary) -> windows.Geometry:
    if not jnp.issubdtype(x.dtype, jnp.number):
        raise TypeError(f"a pool needs a map of numbers, got {x.dtype}")
    rank = len(window_shape) if isinstance(window_shape, Sized) else 2
    if not 1 <= rank <= 3:
        raise ValueError(f"window_shape {window_shape} must have 1 to 3 entries")
    if x.ndim < rank + 1:
        raise ValueError(
            f"a window with {rank} axes needs a map [*batch, {rank} spatial axes, "
            f"channels], got shape {x.shape}"
        )
    spatial = x.shape[x.ndim - rank - 1 : -1]
    return windows.geometry(spatial, window_shape, strides, padding, boundary)


def _reduce(x, *, reduce_taps, window, fill, **options):
    if math.isinf(fill) and jnp.issubdtype(x.dtype, jnp.integer):
        extremes = jnp.iinfo(x.dtype)
        fill = extremes.max if fill > 0 else extremes.min
    return reduce_taps(windows.taps(x, window, fill), **options).astype(x.dtype)


def _wide(x: Array) -> Array:
    """`x` in the dtype in which sums are taken: at least float32."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise TypeError(f"a mean needs a floating-point map, got {x.dtype}")
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _sum(taps: Taps) -> Array:
    return functools.reduce(operator.add, taps.values)


def _scaled(taps: Taps) -> tuple[Array, Taps]:
    """The largest of non-negative taps, and the taps divided by it.

    A mean that grows with its taps does not depend on the scale it is taken at, but
    powers of its taps leave the dtype's range at a bad one. The scale of zeros is 1.
    """
    scale = lax.stop_gradient(functools.reduce(jnp.maximum, taps))
    scale = jnp.where((scale == 0) | jnp.isinf(scale), 1, scale)
    return scale, taps.map(lambda tap: tap / scale)


def _count(taps: Taps, count_include_pad: bool):
    if count_include_pad or taps.real is None:
        return len(taps)
    dtype = jnp.promote_types(taps.values[0].dtype, jnp.float32)
    return sum(real.astype(dtype) for real in taps.real)


def _power(x: Array, p: float) -> Array:
    if float(p).is_integer():
        return lax.integer_pow(x, int(p))
    # Some derivative of x^p is infinite at 0, where it counts as 0: so the power must
    # not even be taken there.
    zero = x == 0
    return jnp.where(zero, 0, jnp.where(zero, 1, x) ** p)
