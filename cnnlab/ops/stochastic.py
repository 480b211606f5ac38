"""Stochastic pooling: an entry of the window, drawn by its activation."""

import itertools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Key

from cnnlab.ops.pool_definition import pools, windowed
from cnnlab.ops.reductions import scaled, total, wide
from cnnlab.ops.windows import Taps


@pools.register
@windowed()
def stochastic_pool(taps: Taps, *, key: Key[Array, ""] | None = None) -> Array:
    """An entry of each window, drawn in proportion to its activation, or its mean.

    Entry a_i is drawn with probability a_i / sum(a), independently for every window and
    channel, and takes the gradient alone. Without a key the result is the mean of that
    draw, sum(a_i^2) / sum(a_i), the paper's probabilistic weighting.

    Activations are meant to be non-negative, as after a ReLU: a negative one counts as
    0, so it is never drawn. A window with nothing above 0 gives 0 with gradient 0; one
    with +inf gives NaN, as there is no law to draw by. Without a key a shift of the map
    by a multiple of the strides shifts the result, boundary aside.

    Args:
        key: the randomness of training; None is the paper's test-time pooling.

    Source: Zeiler and Fergus, 2013, "Stochastic pooling for regularization of deep
    convolutional neural networks", https://arxiv.org/abs/1301.3557
    """
    weights = taps.map(lambda tap: jnp.maximum(wide(tap), 0))
    if key is None:
        scale, shares = scaled(weights)
        sum_of_shares = total(shares)
        empty = sum_of_shares == 0
        mean = total(shares.map(jnp.square)) / jnp.where(empty, 1, sum_of_shares)
        return jnp.where(empty, 0, scale * mean)
    # Which tap is drawn is settled first, as a number without gradient: the backward
    # pass then compares it and need not add up the weights again for every tap.
    cumulative = tuple(itertools.accumulate(map(lax.stop_gradient, weights)))
    weight = cumulative[-1]
    threshold = weight * jax.random.uniform(key, weight.shape, weight.dtype)
    index = sum((reached <= threshold).astype(jnp.int32) for reached in cumulative)
    # NaN and infinity have no law to draw from: they stay visible as NaN.
    index = jnp.where(jnp.isfinite(weight), index, len(taps))
    drawn = weight * 0
    for i, tap in enumerate(taps):
        drawn = jnp.where(index == i, tap, drawn)
    return drawn
