"""Content-adaptive blur: every position chooses its own low-pass filter."""

import functools
import math
import operator

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from cnnlab.ops import windows
from cnnlab.ops.antialiasing import binomial
from cnnlab.ops.convolution import conv
from cnnlab.ops.pool_definition import Traits, mapped, pools
from cnnlab.ops.reductions import wide
from cnnlab.ops.windows import Geometry

# As many as in the paper's networks.
GROUPS = 8


def groups_of(channels: int) -> int:
    """How many groups of channels have a filter each: 8, or what divides both."""
    return math.gcd(channels, GROUPS)


def _no_logits(window: Geometry, channels: int) -> np.ndarray:
    logits = groups_of(channels) * math.prod(window.window_shape)
    return np.zeros((*window.window_shape, channels, logits))


def _binomial_logits(window: Geometry, channels: int) -> np.ndarray:
    return np.tile(np.log(binomial(window.window_shape)).ravel(), groups_of(channels))


@pools.register
@mapped(
    weights={"projection": _no_logits, "bias": _binomial_logits},
    traits=Traits(channelwise=False),
)
def adaptive_blur_pool(
    x: Array,
    window: Geometry,
    *,
    count_include_pad: bool = True,
    projection: ArrayLike | None = None,
    bias: ArrayLike | None = None,
) -> Array:
    """Each window's mean under a filter that is computed from the window.

    A convolution gives every window and group of channels one logit per tap; the
    filter is their softmax: out[c] = sum_t w[g(c), t] x_t[c], where
    w[g] = softmax_t(bias[g, t] + sum_sc projection[s, c, (g, t)] x_s[c]).

    Under boundary "circular", where the strides divide the map, a shift by the strides
    shifts the result by one entry. The gradient also goes through the filter. A window
    with an infinity has no filter: it gives NaN in all channels.

    Args:
        count_include_pad: whether padding counts as entries of value 0. False spreads
            the filter over the entries on the map. The logits see zeros there.
        projection: the convolution's kernel, [*window, channels, groups * taps], taps
            row-major and fastest; None is zeros, so that `bias` alone is the filter.
        bias: [groups * taps]; None is the binomial filter, that of `blur_pool`.

    Source: Zou et al., 2020, section 3, "Delving deeper into anti-aliasing in
    ConvNets", https://arxiv.org/abs/2008.09604. Theirs starts at random and normalises
    the logits over the batch; this one has no state, so it starts at the binomial
    filter and its logits keep the scale of the map.
    """
    x = wide(x)
    projection, bias = (jnp.asarray(w, x.dtype) for w in (projection, bias))
    logits = bias + conv(
        x, projection, window.strides, window.padding, boundary=window.boundary
    )
    taps = windows.taps(x, window, 0)
    groups = bias.size // len(taps)
    logits = logits.reshape(*logits.shape[:-1], groups, len(taps), 1)
    counted = taps.real if not count_include_pad else None
    weights = _softmax([logits[..., t, :] for t in range(len(taps))], counted)

    def grouped(tap):
        return tap.reshape(*tap.shape[:-1], groups, x.shape[-1] // groups)

    terms = (w * grouped(tap) for w, tap in zip(weights, taps, strict=True))
    out = functools.reduce(operator.add, terms)
    return out.reshape(*out.shape[:-2], x.shape[-1])


def _softmax(logits, counted):
    """The softmax over a list of arrays, of those alone that are `counted`."""
    if counted is not None:
        lowest = jnp.finfo(logits[0].dtype).min
        pairs = zip(counted, logits, strict=True)
        logits = [jnp.where(real[..., None], logit, lowest) for real, logit in pairs]
    largest = lax.stop_gradient(functools.reduce(jnp.maximum, logits))
    powers = [jnp.exp(logit - largest) for logit in logits]
    total = functools.reduce(operator.add, powers)
    return [power / total for power in powers]
