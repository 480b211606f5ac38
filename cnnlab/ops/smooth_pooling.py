"""Smooth pools between the average and the maximum: means weighted by exponentials."""

import functools
import math
import numbers
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnnlab.ops.pool_definition import pools, windowed
from cnnlab.ops.reductions import count, total, wide
from cnnlab.ops.windows import Taps


@pools.register
@windowed(fill=-math.inf)
def soft_pool(taps: Taps, *, beta: float = 1.0) -> Array:
    """The mean of each window under its softmax, sum_i softmax(beta a)_i a_i.

    It lies between the average (beta = 0) and the maximum (to which it tends as beta
    grows). Entry a_i takes the gradient softmax(beta a)_i (1 + beta (a_i - result)),
    which is negative for entries far below the result.

    Padding and entries of -inf have no weight; windows of nothing else give -inf. A
    window with an infinity as its largest entry gives that, with gradient 0. A shift of
    the map by a multiple of the strides shifts the result, boundary aside.

    Args:
        beta: the inverse temperature, a finite number of at least 0.

    Raises:
        ValueError: beta is negative or not finite.
        TypeError: beta is not a number.

    Source: Stergiou, Poppe and Kalliatakis, 2021, equations 1 and 2 (beta = 1),
    "Refining activation downsampling with SoftPool", https://arxiv.org/abs/2101.00440
    """
    _check_number("beta", beta)
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta {beta!r} must be a finite number of at least 0")
    taps = taps.map(wide)
    largest = _largest(taps)
    weights = _of_gaps(taps, largest, lambda gap: jnp.exp(beta * gap), 0)
    weighted = _of_gaps(taps, largest, lambda gap: gap * jnp.exp(beta * gap), 0)
    weight = total(weights)
    # As a distance from the largest entry, a constant is its own mean exactly.
    return largest + total(weighted) / jnp.where(weight == 0, 1, weight)


@pools.register
@windowed(fill=-math.inf)
def log_sum_exp_pool(taps: Taps, *, r: float = 1.0, normalize: bool = True) -> Array:
    """The log-mean-exp (1 / r) log(mean exp(r x)) of each window.

    It tends to the average as r falls to 0 and to the maximum as r grows. An entry
    takes its share of sum exp(r x) as gradient, so that the gradients add up to 1.

    Padding counts as absent: the mean is over the entries on the map. Entries of -inf
    count, with exp(r x) = 0; windows of nothing else give -inf. A window with an
    infinity as its largest entry gives that, with gradient 0. A shift of the map by a
    multiple of the strides shifts the result, boundary aside.

    Args:
        r: the sharpness, a finite number above 0.
        normalize: False gives (1 / r) log(sum exp(r x)).

    Raises:
        ValueError: r is not above 0, or not finite.
        TypeError: r is not a number.

    Source: Pinheiro and Collobert, 2015, equation 4, "From image-level to pixel-level
    labeling with convolutional networks", https://arxiv.org/abs/1411.6228; theirs
    pools the whole map.
    """
    _check_number("r", r)
    if not 0 < r < math.inf:
        raise ValueError(f"r {r!r} must be a finite number above 0")
    taps = taps.map(wide)
    largest = _largest(taps)
    # The sum of exp(r gap) - 1: at a small r, the sum of exp(r gap) would round away
    # all that tells the entries apart.
    excesses = _of_gaps(taps, largest, lambda gap: jnp.expm1(r * gap), -1)
    if taps.real is not None:
        kept = zip(taps.real, excesses, strict=True)
        excesses = Taps(tuple(jnp.where(*pair, 0) for pair in kept), taps.real)
    excess = jnp.where(jnp.isfinite(largest), total(excesses), 0)
    entries = np.maximum(count(taps, count_include_pad=False), 1)
    if not normalize:
        return largest + jnp.log(entries + excess) / r
    mean = excess / entries
    # log1p is exact near 0, and cancels near -1.
    near = mean > -0.5
    log_mean = jnp.where(
        near,
        jnp.log1p(jnp.where(near, mean, 0)),
        jnp.log(jnp.where(near, 1, (entries + excess) / entries)),
    )
    return largest + log_mean / r


def _largest(taps: Taps) -> Array:
    """The largest tap. The means do not depend on what they are measured from."""
    return lax.stop_gradient(functools.reduce(jnp.maximum, taps))


def _of_gaps(
    taps: Taps, largest: Array, function: Callable[[Array], Array], infinite: float
) -> Taps:
    """`function` of how far each tap lies from the largest, or what it is at -inf."""

    def of_gap(tap):
        gap = tap - largest
        finite = jnp.isfinite(gap)
        # The function must not even be taken of infinities.
        return jnp.where(finite, function(jnp.where(finite, gap, 0)), infinite)

    return taps.map(of_gap)


def _check_number(name: str, value) -> None:
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{name} takes a number, got {value!r}")
