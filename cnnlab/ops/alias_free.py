"""A pointwise nonlinearity that makes no aliases, between ideal resamplings.

Maps lie on a torus and are taken for samples of a sum of waves of fewer than half a
cycle per pixel. (A wave of exactly half a cycle, which an even size can hold, has no
defined value between the samples, so it does not count among them.) Both resamplings
are a matrix on each axis: exact for any size, and on every backend the same.
"""

import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from cnnlab.ops.arguments import check_array, check_count, check_integer
from cnnlab.ops.named import named


def alias_free_activation(
    x: Float[Array, "*batch_and_space channels"],
    activation: Callable[[Array], Array],
    *,
    up: int = 2,
    axes: int = 2,
) -> Float[Array, "*batch_and_space channels"]:
    """`activation` of the waves that `x` samples, less the waves `x` could not hold.

    out = down(activation(up(x))): the waves are sampled `up` times as densely,
    activated sample by sample, and the result is cut to fewer than half a cycle per
    pixel and sampled at the pixels of `x`. Waves of half a cycle or more are lost,
    those of `x` too: `activation` = identity projects the map.

    Commutes with circular shifts, to rounding:

    - by whole multiples of 1 / up pixels, for any pointwise activation;
    - by any fraction of a pixel, for a polynomial of degree up to 2 * up - 1, whose
      aliases all fall on what is cut.

    For any other activation the error under other shifts falls as `up` grows. The
    gradient is that of the composition. Half precision is computed in float32
    throughout. An axis of n entries costs 2 * up * n products an entry and the
    activation sees `up ** axes` times the map.

    Args:
        activation: a function of each entry alone; it is given float32 (or float64).
        up: how many times as many samples the activation sees along each axis; 1 is
            the plain activation between two projections.
        axes: how many axes before the channels are spatial, 1 to 3.

    Raises:
        ValueError: sizes that do not fit, or an activation that changes the shape.
        TypeError: `x` is not an array of a floating-point dtype, or a size is not an
            integer.

    Source: Karras et al., 2021, "Alias-free generative adversarial networks",
    https://arxiv.org/abs/2106.12423, with ideal filters on a torus as in Michaeli,
    Michaeli and Soudry, 2023, "Alias-free convnets: fractional shift invariance via
    polynomial activations", https://arxiv.org/abs/2303.08085, who take degree `up`; the
    higher one is the rule by which spectral methods remove aliases (Orszag, 1971,
    "On the elimination of aliasing in finite-difference schemes by filtering
    high-wavenumber components").
    """
    check_array("the map", x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"an activation needs a floating-point map, got {x.dtype}")
    if not callable(activation):
        raise TypeError(f"an activation is a function, got {activation!r}")
    check_count("up", up)
    check_integer("axes", axes)
    if not 1 <= axes <= 3:
        raise ValueError(f"axes {axes} must be 1, 2 or 3")
    if x.ndim < axes + 1:
        raise ValueError(
            f"axes {axes} needs a map [*batch, {axes} spatial axes, channels], got "
            f"shape {x.shape}"
        )
    wide = jnp.promote_types(x.dtype, jnp.float32)
    fine = _resample("ideal_upsample", x.astype(wide), up, axes)
    activated = activation(fine)
    check_array("what the activation gives", activated)
    if activated.shape != fine.shape:
        raise ValueError(
            f"the activation made shape {activated.shape} of {fine.shape}: it must "
            "be pointwise"
        )
    return _resample("ideal_downsample", activated, up, axes).astype(x.dtype)


def _resample(name, x, factor, axes):
    matrix = {"ideal_upsample": _upsampling, "ideal_downsample": _downsampling}[name]
    call = f"{name}(factor={factor}, axes={axes})"
    return named(call, _apply, matrix=matrix, factor=factor, axes=axes)(x)


def _apply(x, *, matrix, factor, axes):
    for axis in range(x.ndim - axes - 1, x.ndim - 1):
        weights = jnp.asarray(matrix(x.shape[axis], factor), x.dtype)
        x = jnp.tensordot(weights, x, (1, axis), precision=lax.Precision.HIGHEST)
        x = jnp.moveaxis(x, 0, axis)
    return x


@functools.lru_cache(maxsize=256)
def _upsampling(size, factor):
    """[size * factor, size]: the sum of all waves below half a cycle per pixel.

    At t pixels from a pixel, (1 + 2 * sum over 0 < f < size / 2 of
    cos(2 pi f t / size)) / size.
    """
    # In whole fine samples, so that no phase is rounded before it is reduced.
    fine = np.arange(size * factor)
    frequency = np.arange(1, (size + 1) // 2)
    turns = np.outer(fine, frequency) % len(fine) / len(fine)
    pulse = (1 + 2 * np.cos(2 * np.pi * turns).sum(-1)) / size
    return pulse[fine[:, None] - factor * np.arange(size)]


@functools.lru_cache(maxsize=256)
def _downsampling(fine, factor):
    """[fine / factor, fine]: the projection on those waves, at the pixels alone.

    It is the up-sampling's transpose, but for the fine map's greater length: a wave
    has `factor` times as many samples there.
    """
    return _upsampling(fine // factor, factor).T / factor
