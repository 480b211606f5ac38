"""Local importance-based pooling: a mean by weights that the network learns."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from cnnlab.ops import windows
from cnnlab.ops.pool_definition import Traits, mapped, pools
from cnnlab.ops.reductions import wide
from cnnlab.ops.windows import Geometry

# The largest logit, and so the log of the largest ratio of two importances: the paper's
# amplification.
AMPLIFICATION = 12.0


def _projection(window: Geometry, channels: int) -> np.ndarray:
    # At zero the weights would be equal, and the bias would have no gradient.
    return 0.1 * np.eye(channels)


def _bias(window: Geometry, channels: int) -> np.ndarray:
    return np.zeros(channels)


@pools.register
@mapped(
    weights={"projection": _projection, "bias": _bias},
    traits=Traits(channelwise=False),
)
def lip_pool(
    x: Array,
    window: Geometry,
    *,
    projection: ArrayLike | None = None,
    bias: ArrayLike | None = None,
) -> Array:
    """The mean of each window, weighted by how important each of its entries is.

    sum(x * exp(G(x))) / sum(exp(G(x))) over the window, with the logits
    G(x) = 12 sigmoid(x projection + bias) of the entry's channels. Padding has no
    weight; a window of padding alone gives 0. A shift of the map by a multiple of the
    strides shifts the result, boundary aside. All entries share the gradient. An
    infinity is the result of its own channel, but for one of the other sign beside it;
    channels to whose gates the projection gives it the factor 0 see NaN.

    Args:
        projection: `[channels, channels]`; row c is what channel c adds to each gate.
            It starts at 0.1 times the identity; 0 would be average pooling.
        bias: `[channels]`, added to the gates; it starts at 0.

    Raises:
        TypeError: `x` is not of a floating-point dtype.

    Source: Gao, Wang and Wu, 2019, "LIP: Local importance-based pooling",
    https://arxiv.org/abs/1908.04156; its projection form, whose instance normalisation
    of the logits over the whole map is left out, so that pooling stays local.
    """
    x = wide(x)
    gate = jax.nn.sigmoid(x @ projection + bias)
    # A common factor of the importances cancels: with the largest at 1, none overflows.
    importance = jnp.exp(AMPLIFICATION * (gate - 1))
    weight = _sums(importance, window)
    return _sums(x * importance, window) / jnp.where(weight == 0, 1, weight)


def _sums(x: Array, window: Geometry) -> Array:
    """The sum of each window; padding counts as 0."""
    # The gradient needs the transpose of these sums twice over. As one operation it is
    # computed once; of a sum of taps, a CPU would keep the part of every tap.
    leading = (1,) * (x.ndim - len(window.strides) - 1)
    return lax.reduce_window(
        windows.pad(x, window.padding, window.boundary, 0),
        0.0,
        lax.add,
        (*leading, *window.window_shape, 1),
        (*leading, *window.strides, 1),
        "VALID",
    )
