"""Which samples of a torus to keep: a choice that moves exactly with the torus.

All that it rests on are integers: no rounding, and no order of a sum, can tell one
shift of the map from another.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Int, Num, UInt32

from cnnlab.ops.arguments import check_integer
from cnnlab.ops.exact_sums import Wide, add, strided_sums
from cnnlab.ops.float_words import fixed_point
from cnnlab.ops.reductions import wide
from cnnlab.ops.torus_hash import torus_hash


def choose(
    energy: UInt32[Array, "*batch_and_space"],
    x: Num[Array, "*batch_and_space channels"],
    strides: Sequence[int],
    output_shape: Sequence[int],
) -> Int[Array, "*batch rank"]:
    """The offset whose samples have the largest total `energy`; `x` decides ties."""
    rank = len(strides)
    x = lax.stop_gradient(wide(x))
    batch = x.shape[: x.ndim - rank - 1]
    energy = Wide(jnp.zeros_like(energy), energy)
    totals = phase_sums(energy, strides, output_shape, add)
    candidates = totals.low.shape[len(batch) :]
    places = math.prod(candidates)
    everywhere = jnp.ones((*batch, places), bool)
    best = _largest(everywhere, (t.reshape(*batch, places) for t in totals))

    def by_content(best):
        seen = (_largest_of_phases(h, candidates) for h in torus_hash(x, rank))
        return _largest(best, (h.reshape(*batch, places) for h in seen))

    tied = jnp.any(jnp.sum(best, axis=-1) > 1)
    best = lax.cond(tied, by_content, lambda best: best, best)
    place = jnp.argmax(best, axis=-1)
    return jnp.stack(jnp.unravel_index(place, candidates), axis=-1).astype(jnp.int32)


def candidates_of(
    spatial: Sequence[int], strides: Sequence[int], output_shape: Sequence[int]
) -> tuple[int, ...]:
    """How many offsets are told apart per axis: the phases of strides that divide the
    size, or all."""
    return tuple(
        stride if stride * count == size else size
        for size, stride, count in zip(spatial, strides, output_shape, strict=True)
    )


def phase_sums(values, strides: Sequence[int], output_shape: Sequence[int], plus):
    """The sum over each candidate's samples of a tree of `[*batch, *spatial]` maps."""
    rank = len(strides)
    spatial = jax.tree.leaves(values)[0].shape[-rank:]
    kept = candidates_of(spatial, strides, output_shape)
    for axis, stride, count, phases in zip(
        range(-rank, 0), strides, output_shape, kept, strict=True
    ):
        turned = functools.partial(_turned, axis=axis)
        values = strided_sums(values, count, stride, turned, plus)
        first = functools.partial(lax.slice_in_dim, start_index=0, limit_index=phases)
        values = jax.tree.map(functools.partial(first, axis=axis), values)
    return values


def _turned(values, distance, axis):
    return jax.tree.map(lambda leaf: jnp.roll(leaf, -distance, axis), values)


def energy_of(
    x: Num[Array, "*batch_and_space channels"], rank: int, p: int
) -> UInt32[Array, "*batch_and_space"]:
    """The sum of |x|^p over the channels, in integers; p is 1 or 2."""
    check_integer("p", p)
    if p not in (1, 2):
        raise ValueError(f"p {p!r} must be 1 or 2")
    # As many bits as the sum over the channels leaves room for.
    bits = (32 - (x.shape[-1] - 1).bit_length()) // p
    axes = tuple(range(x.ndim - rank - 1, x.ndim))
    share = fixed_point(lax.stop_gradient(wide(x)), bits, axes)
    return jnp.sum(share**p, axis=-1, dtype=jnp.uint32)


def _largest(among, keys):
    """Those `among` the candidates whose keys, compared in turn, are the largest."""
    for key in keys:
        rival = jnp.where(among, key, 0)
        among &= rival == jnp.max(rival, axis=-1, keepdims=True)
    return among


def _largest_of_phases(h, candidates):
    """The largest hash over the places that a candidate may be seen from."""
    leading = h.ndim - len(candidates)
    for axis, phases in enumerate(candidates, leading):
        turns = h.shape[axis] // phases
        shape = *h.shape[:axis], turns, phases, *h.shape[axis + 1 :]
        h = jnp.max(h.reshape(shape), axis=axis)
    return h
