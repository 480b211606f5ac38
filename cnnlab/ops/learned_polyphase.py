"""Learned polyphase subsampling: a small network scores the offsets."""

import dataclasses
import itertools
import math
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Key, UInt32

from cnnlab.ops.convolution import conv
from cnnlab.ops.exact_choice import choose, phase_sums
from cnnlab.ops.float_words import fixed_point
from cnnlab.ops.polyphase import SHIFT_EXACT
from cnnlab.ops.pool_definition import mapped, pools
from cnnlab.ops.reductions import check_positive
from cnnlab.ops.torus_pooling import pool_at, torus_pool
from cnnlab.ops.windows import Geometry

_FEATURES = 8


def _kernel(window: Geometry, channels: int) -> np.ndarray:
    shape = *(3,) * len(window.strides), channels, _FEATURES
    scale = math.sqrt(2 / max(math.prod(shape[:-1]), 1))
    return scale * np.random.default_rng(0).normal(size=shape)


def _readout(window: Geometry, channels: int) -> np.ndarray:
    scale = math.sqrt(1 / _FEATURES)
    return scale * np.random.default_rng(1).normal(size=_FEATURES)


@pools.register
@mapped(
    boundaries=("circular",),
    weights={"kernel": _kernel, "readout": _readout},
    traits=dataclasses.replace(SHIFT_EXACT, straight_through=True),
)
def learned_polyphase(
    x: Array,
    window: Geometry,
    *,
    pool: str | Callable | None = "max_pool",
    temperature: float = 1.0,
    kernel: ArrayLike | None = None,
    readout: ArrayLike | None = None,
    key: Key[Array, ""] | None = None,
) -> Array:
    """The map pooled at stride 1 on the torus, at the samples of the largest logit.

    The logit of an offset is the mean over its samples of `readout` . relu(conv), a
    circular 3-wide convolution of the dense map whose taps lie `strides` apart: on a
    polyphase component it is a 3-wide one. With a key the logits are first perturbed by
    Gumbel noise, one draw per image and offset, so that offsets are drawn by their
    softmax.

    Guarantee without a key, for every circular shift of the map by whole entries, bit
    for bit: that of `adaptive_polyphase`. For the choice the network is computed in
    integers, on copies of the dense map and the weights rounded to 8 bits with their
    sign, the same on every device; ties are decided as there.

    The map's gradient goes to the samples that were kept, through `pool`. That of the
    weights is straight-through: as if the result were the mean of all offsets' results
    under softmax(logits / temperature).

    Args:
        pool: as in `adaptive_polyphase`.
        temperature: above 0; of the softmax whose gradient the weights take.
        kernel: `[3, .., 3, channels, 8]`.
        readout: `[8]`.
        key: the randomness of training; None takes the largest logit.

    Raises:
        ValueError: temperature is not above 0, or not finite.
        TypeError: temperature is not a number, `key` no key, or `x` holds integers.

    Source: Rojas-Gomez, Lim, Schwing, Do and Yeh, 2022, "Learnable polyphase
    sampling for shift invariant and equivariant convolutional networks",
    https://arxiv.org/abs/2210.08001; theirs trains on the mean itself, and follows the
    ReLU by a second convolution, of which the mean that ends both leaves a product with
    one vector.
    """
    check_positive("temperature", temperature)
    constant = lax.stop_gradient(x)
    dense = torus_pool(constant, window, pool)
    weights = (jnp.asarray(kernel, dense.dtype), jnp.asarray(readout, dense.dtype))
    logits = _logits(dense, *weights, window)
    if key is None:
        scores = _integer_scores(dense, *map(lax.stop_gradient, weights), window)
        offset = choose(scores, x, window.strides, window.output_shape)
    else:
        batch = x.shape[: x.ndim - len(window.strides) - 1]
        logits += jax.random.gumbel(key, logits.shape, logits.dtype)
        candidates = logits.shape[len(batch) :]
        flat = lax.stop_gradient(logits).reshape(*batch, math.prod(candidates))
        place = jnp.argmax(flat, axis=-1)
        offset = jnp.stack(jnp.unravel_index(place, candidates), axis=-1)
    kept = pool_at(x, offset, window, pool)
    mean = _mean_of_offsets(logits / temperature, constant, dense, window, pool)
    return straight_through(kept, mean.astype(kept.dtype))


@jax.custom_jvp
def straight_through(value: Array, stand_in: Array) -> Array:
    """`value`, to which a change of `stand_in` adds its own."""
    return value


@straight_through.defjvp
def _straight_through_jvp(primals, tangents):
    moved, moved_stand_in = tangents
    return straight_through(*primals), moved + moved_stand_in


def _logits(dense, kernel, readout, window):
    """The score of each candidate, in floating point."""
    hidden = conv(
        dense,
        kernel,
        padding=[(stride, stride) for stride in window.strides],
        dilation=window.strides,
        boundary="circular",
    )
    scores = jnp.sum(jax.nn.relu(hidden) * readout, axis=-1)
    totals = phase_sums(scores, window.strides, window.output_shape, operator.add)
    return totals / math.prod(window.output_shape)


def _integer_scores(
    dense: Float[Array, "*batch_and_space channels"],
    kernel: Float[Array, "..."],
    readout: Float[Array, " features"],
    window: Geometry,
) -> UInt32[Array, "*batch_and_space"]:
    """What each place adds to the logit of its samples, in integers."""
    rank, channels = len(window.strides), dense.shape[-1]
    # A product of integers this small is one in float32 too, and so is their sum over
    # the channels, in any order: at 7 bits even where a device multiplies in bfloat16.
    bits = min(7, (24 - (channels - 1).bit_length()) // 2)
    image = tuple(range(dense.ndim - rank - 1, dense.ndim))
    x = _signed(dense, bits, image).astype(jnp.float32)
    kernel = _signed(kernel, bits, None).astype(jnp.float32)
    # All taps at once, which then are moved as the few features that they have become.
    taps = list(itertools.product((-1, 0, 1), repeat=rank))
    matrix = jnp.moveaxis(kernel.reshape(len(taps), *kernel.shape[-2:]), 0, 1)
    responses = jnp.tensordot(x, matrix, 1).astype(jnp.int32)
    hidden = jnp.zeros((), jnp.int32)
    for index, tap in enumerate(taps):
        further = [-t * stride for t, stride in zip(tap, window.strides, strict=True)]
        hidden += jnp.roll(responses[..., index, :], further, image[:-1])
    # Down to 20 bits, which 7 of the readout and 3 of its sum leave within 31.
    longest = 2 * bits + (len(taps) * channels - 1).bit_length()
    hidden = jnp.maximum(hidden, 0) >> max(longest - 20, 0)
    score = jnp.sum(hidden * _signed(readout, 7, None), axis=-1, dtype=jnp.int32)
    return score.astype(jnp.uint32) + np.uint32(1 << 31)


def _signed(x, bits, axes):
    axes = tuple(range(x.ndim)) if axes is None else axes
    size = fixed_point(x, bits, axes).astype(jnp.int32)
    return jnp.where(x < 0, -size, size)


def _mean_of_offsets(logits, x, dense, window, pool):
    """The candidates' results, averaged under the softmax of `logits`."""
    rank = len(window.strides)
    leading = x.ndim - rank - 1
    batch, spatial = x.shape[:leading], x.shape[leading:-1]
    candidates = logits.shape[leading:]
    flat = logits.reshape(*batch, math.prod(candidates))
    shares = jax.nn.softmax(flat).reshape(logits.shape)
    if candidates == window.strides:
        mean = 0
        for place in itertools.product(*map(range, candidates)):
            offset = jnp.broadcast_to(jnp.array(place, jnp.int32), (*batch, rank))
            share = jnp.expand_dims(shares[(..., *place)], tuple(range(-rank - 1, 0)))
            mean += share * pool_at(x, offset, window, pool).astype(dense.dtype)
        return mean
    # sum_o share(o) dense(o + i) for all places i at once, in the frequency domain.
    margins = [(0, n - m) for n, m in zip(spatial, candidates, strict=True)]
    shares = jnp.pad(shares, [(0, 0)] * leading + margins)[..., None]
    axes = tuple(range(leading, leading + rank))
    product = jnp.conj(jnp.fft.rfftn(shares, axes=axes)) * jnp.fft.rfftn(
        dense, axes=axes
    )
    mean = jnp.fft.irfftn(product, spatial, axes).astype(dense.dtype)
    for axis, count, stride in zip(
        axes, window.output_shape, window.strides, strict=True
    ):
        mean = jnp.take(mean, np.arange(count) * stride % mean.shape[axis], axis)
    return mean
