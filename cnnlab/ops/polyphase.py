"""Shift-exact subsampling: the samples to keep are chosen by what the map shows.

Samples are kept at offset + i strides, modulo the size, as the map is a torus. The
offset that is chosen follows the map when it is shifted, so that the same samples are
kept. All that the choice rests on are integers: no rounding, and no order of a sum, can
tell one shift of the map from another.
"""

import functools
import math
from collections.abc import Callable, Sequence, Sized

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int, Num, UInt32

from cnnlab.ops import windows
from cnnlab.ops.exact_sums import Wide, add, strided_sums
from cnnlab.ops.float_words import fixed_point
from cnnlab.ops.pool_definition import Traits, mapped, pools
from cnnlab.ops.reductions import wide
from cnnlab.ops.registry import takes
from cnnlab.ops.rotation import rotate
from cnnlab.ops.torus_hash import torus_hash
from cnnlab.ops.windows import Geometry

SHIFT_EXACT = Traits(local=False, channelwise=False, shift_exact=True)


@pools.register
@mapped(boundaries=("circular",), traits=SHIFT_EXACT)
def adaptive_polyphase(
    x: Array, window: Geometry, *, pool: str | Callable | None = "max_pool", p: int = 2
) -> Array:
    """The map pooled at stride 1 on the torus, at the samples of the largest p-norm.

    Of padding only the size of the result is taken; the map itself is a torus.

    Guarantee, for every circular shift of the map by whole entries, bit for bit:
    along an axis where the strides divide the map (output size times stride is its
    size) the result is the same up to a circular shift; along any other axis the
    choice runs over all offsets and the result is the same. It is as exact as `pool`
    is: max_pool and None are. The choice is one per image, for all its channels alike;
    equal norms are told apart by a hash of the torus as seen from each offset, so that
    offsets which stay equal give the same result.

    The gradient goes to the samples that were kept, through `pool`; the choice is
    constant.

    Args:
        pool: the spec or function of a pool that looks at its window alone and neither
            learns nor draws, or None to keep the map's own entries.
        p: 1 or 2. |x| is taken to (32 - log2 channels) / p bits below the largest of
            the image, rounded down.

    Raises:
        ValueError: p is neither 1 nor 2, or `pool` is of another kind.
        TypeError: `x` holds integers.

    Source: Chaman and Dokmanic, 2021, equations 7 to 9, "Truly shift-invariant
    convolutional neural networks", https://arxiv.org/abs/2011.14214; theirs takes
    strides that divide the map, compares rounded norms, and breaks ties by index.
    """
    dense = torus_pool(lax.stop_gradient(x), window, pool)
    energy = _energy(dense, len(window.strides), p)
    offset = choose(energy, x, window.strides, window.output_shape)
    return pool_at(x, offset, window, pool)


def polyphase_choice(
    x: Float[Array, "*batch_and_space channels"],
    strides: windows.Sizes,
    output_shape: Sequence[int] | None = None,
    *,
    p: int = 2,
) -> Int[Array, "*batch rank"]:
    """The offset of the samples with the largest p-norm, one per image.

    Args:
        strides: an int is for two spatial axes; a tuple gives one to three.
        output_shape: how many samples are kept per axis; None is ceil(size / stride).
        p: as in `adaptive_polyphase`.
    """
    strides, spatial = _spatial(x, strides)
    output_shape = _samples(spatial, strides, output_shape)
    return choose(_energy(x, len(strides), p), x, strides, output_shape)


def polyphase_downsample(
    x: Num[Array, "*batch_and_space channels"],
    choice: Int[Array, "*batch rank"],
    strides: windows.Sizes,
    output_shape: Sequence[int] | None = None,
) -> Num[Array, "*batch_and_space_out channels"]:
    """The samples choice + i strides, modulo the size, of each map.

    With the choice of `polyphase_choice`, the shift guarantee of `adaptive_polyphase`.
    """
    strides, spatial = _spatial(x, strides)
    _check_choice(choice, x, strides)
    output_shape = _samples(spatial, strides, output_shape)
    ones = (1,) * len(strides)
    pairs = ((0, 0),) * len(strides)
    window = Geometry(ones, strides, pairs, "circular", ones, output_shape)
    return pool_at(x, choice, window, None)


def polyphase_upsample(
    y: Num[Array, "*batch_and_space channels"],
    choice: Int[Array, "*batch rank"],
    strides: windows.Sizes,
    output_shape: Sequence[int],
) -> Num[Array, "*batch_and_space_out channels"]:
    """Maps of `output_shape` with samples `y` back at choice + i strides, 0 elsewhere.

    Together with `polyphase_downsample` it moves exactly with any circular shift of the
    map, whatever the size, unless the map itself is periodic with a period that the
    strides do not divide: then no choice could.

    Raises:
        ValueError: more samples than fit without meeting another, or a choice that is
            not one offset per image.
        TypeError: a choice that holds no integers.

    Source: Chaman and Dokmanic, 2021, "Truly shift-equivariant convolutional neural
    networks with adaptive polyphase upsampling", https://arxiv.org/abs/2105.04040; a
    low-pass filter usually follows.
    """
    strides, samples = _spatial(y, strides)
    _check_choice(choice, y, strides)
    spatial = windows.sizes(output_shape, len(strides), "output_shape")
    ends = tuple((n - 1) * s for n, s in zip(samples, strides, strict=True))
    if any(end >= size for end, size in zip(ends, spatial, strict=True)):
        raise ValueError(
            f"{samples} samples {strides} apart do not fit output_shape {spatial}"
        )
    margins = (
        (0, size - 1 - end, stride - 1)
        for end, size, stride in zip(ends, spatial, strides, strict=True)
    )
    leading = y.ndim - len(strides) - 1
    config = ((0, 0, 0),) * leading + (*margins, (0, 0, 0))
    return rotate(lax.pad(y, jnp.zeros((), y.dtype), config), -choice)


def torus_pool(x: Array, window: Geometry, pool: str | Callable | None) -> Array:
    """`pool` at stride 1 over the torus, in at least float32: a map of `x`'s size."""
    x = wide(x)
    if pool is None:
        return x
    margins = tuple((0, size - 1) for size in window.window_shape)
    x = windows.pad(x, margins, "circular", 0)
    # Else the margin's branches are taken again for every tap, which costs a CPU more
    # than to lay the map out once.
    x = lax.optimization_barrier(x)
    return _dense_pool(pool)(x, window.window_shape, 1, "VALID")


def _dense_pool(pool: str | Callable) -> Callable:
    """The pool, if one of ours a plain function of every window."""
    resolved = pools.resolve(pool)
    own = resolved
    while isinstance(own, functools.partial):
        own = own.func
    traits = getattr(own, "traits", None)
    if traits is not None and (not traits.local or own.weights or takes(own, "key")):
        raise ValueError(
            f"pool {pool!r} cannot be the dense one: it looks beyond its window, "
            "learns or draws"
        )
    return resolved


def pool_at(
    x: Array, offset: Array, window: Geometry, pool: str | Callable | None
) -> Array:
    """The windows that begin at offset + i strides on the torus, pooled."""
    x = rotate(x, offset)
    reduce = pools["max_pool"] if pool is None else _dense_pool(pool)
    shape = (1,) * len(window.strides) if pool is None else window.window_shape
    leading = x.ndim - len(shape) - 1
    ends = tuple(
        (n - 1) * s + w
        for n, s, w in zip(window.output_shape, window.strides, shape, strict=True)
    )
    spatial = x.shape[leading:-1]
    margins = tuple(
        (0, max(end - size, 0)) for end, size in zip(ends, spatial, strict=True)
    )
    x = windows.pad(x, margins, "circular", 0)
    x = x[(..., *map(slice, ends), slice(None))]
    return reduce(x, shape, window.strides, "VALID")


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


def _energy(x, rank, p):
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
        shape = *h.shape[:axis], -1, phases, *h.shape[axis + 1 :]
        h = jnp.max(h.reshape(shape), axis=axis)
    return h


def _check_choice(choice, x, strides):
    batch = x.shape[: x.ndim - len(strides) - 1]
    if choice.shape != (*batch, len(strides)):
        raise ValueError(
            f"choice of shape {choice.shape} must have shape {(*batch, len(strides))}"
        )
    if not jnp.issubdtype(choice.dtype, jnp.integer):
        raise TypeError(f"a choice holds integers, got {choice.dtype}")


def _spatial(x, strides):
    rank = len(strides) if isinstance(strides, Sized) else 2
    strides = windows.sizes(strides, rank, "strides")
    if not 1 <= rank <= 3 or x.ndim < rank + 1:
        raise ValueError(
            f"strides {strides} need a map [*batch, {rank} spatial axes, channels] "
            f"with 1 to 3 spatial axes, got shape {x.shape}"
        )
    return strides, x.shape[x.ndim - rank - 1 : -1]


def _samples(spatial, strides, output_shape):
    if output_shape is None:
        return tuple(-(-n // s) for n, s in zip(spatial, strides, strict=True))
    return windows.sizes(output_shape, len(strides), "output_shape")
