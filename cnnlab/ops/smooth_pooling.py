"""Smooth pools between the average and the maximum: means weighted by exponentials."""

import functools
import math

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnnlab.ops.pool_definition import pools, windowed
from cnnlab.ops.reductions import check_positive, count, total, wide
from cnnlab.ops.windows import Taps

# exp(-800) is 0, also in float64.
_WEIGHTLESS = 800.0


@pools.register
@windowed(fill=-math.inf)
def soft_pool(taps: Taps, *, beta: float = 1.0) -> Array:
    """The mean of each window under its softmax, sum_i softmax(beta a)_i a_i.

    It tends to the average as beta falls to 0 and to the maximum as it grows. Entry a_i
    takes the gradient softmax(beta a)_i (1 + beta (a_i - result)), which is negative
    for entries far below the result.

    Padding and entries of -inf have no weight; windows of nothing else give -inf. A
    window with an infinity as its largest entry gives that, with gradient 0. A shift of
    the map by a multiple of the strides shifts the result, boundary aside.

    Args:
        beta: the inverse temperature, a finite number above 0.

    Raises:
        ValueError: beta is not above 0, or not finite.
        TypeError: beta is not a number.

    Source: Stergiou, Poppe and Kalliatakis, 2021, "Refining activation
    downsampling with SoftPool" (beta = 1), https://arxiv.org/abs/2101.00440
    """
    check_positive("beta", beta)
    largest, gaps, weights = _weighed(taps.map(wide), beta)
    weight = total(weights)
    weighted = sum(w * gap for w, gap in zip(weights, gaps, strict=True))
    # As a distance from the largest entry, a constant is its own mean exactly.
    return largest + weighted / jnp.where(weight == 0, 1, weight)


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
        r: the sharpness, a finite number above 0. Rounding adds an error in proportion
            to 1 / r: some 1e-7 / r in float32.
        normalize: False gives (1 / r) log(sum exp(r x)).

    Raises:
        ValueError: r is not above 0, or not finite.
        TypeError: r is not a number.

    Source: Pinheiro and Collobert, 2015, section 3.1, "From image-level to pixel-level
    labeling with convolutional networks", https://arxiv.org/abs/1411.6228; theirs
    pools the whole map.
    """
    check_positive("r", r)
    largest, _, weights = _weighed(taps.map(wide), r)
    weight = total(weights)
    weight = jnp.where(weight == 0, 1, weight)
    if normalize:
        # A window on padding alone has no entry.
        weight = weight / np.maximum(count(taps, count_include_pad=False), 1)
    return largest + jnp.log(weight) / r


def _weighed(taps: Taps, sharpness: float) -> tuple[Array, Taps, Taps]:
    """The largest tap, how far from it each tap is, and exp(sharpness * that)."""
    # No mean depends on what it is measured from, so that its gradient would be 0.
    largest = lax.stop_gradient(functools.reduce(jnp.maximum, taps))
    floor = -_WEIGHTLESS / sharpness

    def gap(tap):
        distance = tap - largest
        # Two infinities have no distance; a single one is too far for a gradient.
        return jnp.maximum(jnp.where(jnp.isnan(distance), floor, distance), floor)

    gaps = taps.map(gap)
    return largest, gaps, gaps.map(lambda gap: jnp.exp(sharpness * gap))
