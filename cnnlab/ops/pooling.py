"""The classic reductions of a window: its extremes and its means.

To add a pool, write the reduction of its taps and register it: `@pools.register
@windowed(fill=...)`. `pool_definition` says what a pool is.
"""

import math
import numbers
import operator
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array

from cnnlab.ops.pool_definition import Traits, pools, windowed
from cnnlab.ops.reductions import count, entry, power, scaled, total, wide
from cnnlab.ops.windows import Taps


@pools.register
@windowed(fill=-math.inf, traits=Traits(selecting=True))
def max_pool(taps: Taps) -> Array:
    """The largest entry of each window.

    The first of equal entries takes the whole gradient, padding never wins, and a NaN
    in the window is the result (as in PyTorch). A shift of the map by a multiple of the
    strides shifts the result, boundary aside.

    Source: Riesenhuber and Poggio, 1999, "Hierarchical models of object recognition in
    cortex", https://doi.org/10.1038/14819 (as complex cells); Scherer, Mueller and
    Behnke, 2010, "Evaluation of pooling operations in convolutional architectures for
    object recognition", https://doi.org/10.1007/978-3-642-15825-4_10.
    """
    return _winner(taps, operator.gt)


@pools.register
@windowed(fill=math.inf, traits=Traits(selecting=True))
def min_pool(taps: Taps) -> Array:
    """The smallest entry of each window: minus the `max_pool` of minus the map.

    The first of equal entries takes the whole gradient, padding never wins, and a NaN
    in the window is the result. Integers keep their dtype. A shift of the map by a
    multiple of the strides shifts the result, boundary aside.

    Source: as `max_pool`, of minus the map.
    """
    return _winner(taps, operator.lt)


# Windows of up to so many entries are faster by the contest's own gradient: in a
# network's step it fuses with what is around it. Of larger windows that gradient takes
# ever longer to run and to compile.
_FEW = 9


def _winner(taps: Taps, beats: Callable[[Array, Array], Array]) -> Array:
    best, index = contest(taps, beats)
    return best if len(taps) <= _FEW else entry(taps, index)


def contest(taps: Taps, beats: Callable[[Array, Array], Array]) -> tuple[Array, Array]:
    """The entry that beats every other, and its index in the window.

    Of equal ones it is the first, padding comes after all, and of NaNs it is the last.
    """
    best, *others = taps.values
    index = jnp.zeros(best.shape, np.min_scalar_type(len(taps)))
    seen = taps.real and taps.real[0]
    for i, tap in enumerate(others, 1):
        wins = beats(tap, best) | (tap != tap)
        if taps.real is not None:
            # An entry that equals what the padding holds still comes before it.
            wins |= taps.real[i] & ~seen
            seen = seen | taps.real[i]
        best = jnp.where(wins, tap, best)
        index = jnp.where(wins, index.dtype.type(i), index)
    return best, index


@pools.register
@windowed()
def avg_pool(taps: Taps, *, count_include_pad: bool = True) -> Array:
    """The mean of each window.

    Its entries share the gradient evenly. An infinity is the result, one of each sign
    gives NaN. A shift of the map by a multiple of the strides shifts the result,
    boundary aside.

    Args:
        count_include_pad: whether padding counts as entries of value 0. False divides
            by the number of entries on the map.

    Source: LeCun, Bottou, Bengio and Haffner, 1998, section II (sub-sampling),
    "Gradient-based learning applied to document recognition",
    https://doi.org/10.1109/5.726791; theirs gives each channel a learned factor and
    bias and squashes the result.
    """
    taps = taps.map(wide)
    return total(taps) / count(taps, count_include_pad)


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
    window of zeros gives 0 with gradient 0, one with an infinity gives +inf with
    gradient NaN there. A shift of the map by a multiple of the strides shifts the
    result, boundary aside.

    Args:
        p: the exponent, a finite number of at least 1.
        normalize: False gives (sum |x|^p)^(1/p), PyTorch's form.
        count_include_pad: as in `avg_pool`.

    Raises:
        ValueError: p is below 1 or not finite.
        TypeError: p is not a number.

    Source: Sermanet, Chintala and LeCun, 2012, "Convolutional neural networks applied
    to house numbers digit classification", https://arxiv.org/abs/1204.3968; theirs
    weights the window by a Gaussian.
    """
    if not isinstance(p, numbers.Real):
        raise TypeError(f"p takes a number, got {p!r}")
    if not 1 <= p < math.inf:
        raise ValueError(f"p {p!r} must be a finite number of at least 1")
    return _power_mean(taps, p, normalize, count_include_pad)


@pools.register
@windowed()
def l2_pool(
    taps: Taps, *, normalize: bool = True, count_include_pad: bool = True
) -> Array:
    """The root mean square sqrt(mean x^2) of each window: `lp_pool` at p = 2.

    A window of zeros gives 0 with gradient 0. A shift of the map by a multiple of the
    strides shifts the result, boundary aside.

    Args:
        normalize: False gives sqrt(sum x^2), the norm itself.
        count_include_pad: as in `avg_pool`.

    Source: as of `lp_pool`.
    """
    return _power_mean(taps, 2, normalize, count_include_pad)


def _power_mean(taps: Taps, p: float, normalize: bool, count_include_pad: bool):
    """(mean |x|^p)^(1/p), or (sum |x|^p)^(1/p), whose gradient at zeros is 0."""
    magnitudes = taps.map(lambda tap: jnp.abs(wide(tap)))
    scale, shares = scaled(magnitudes)
    mean = total(shares.map(lambda share: power(share, p)))
    if normalize:
        mean = mean / count(taps, count_include_pad)
    return jnp.where(mean == 0, 0, scale * power(mean, 1 / p))
