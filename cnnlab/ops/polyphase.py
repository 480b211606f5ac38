"""Shift-exact subsampling: the samples to keep are chosen by what the map shows.

Samples are kept at offset + i strides, modulo the size, as the map is a torus. The
offset that is chosen follows the map when it is shifted (`exact_choice`), so that the
same samples are kept.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int, Num

from cnnlab.ops import windows
from cnnlab.ops.arguments import check_array
from cnnlab.ops.exact_choice import choose, energy_of
from cnnlab.ops.named import named
from cnnlab.ops.pool_definition import Traits, mapped, pools
from cnnlab.ops.reductions import check_numbers
from cnnlab.ops.rotation import rotate
from cnnlab.ops.torus_pooling import pool_at, torus_pool
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
        TypeError: p is not an integer, or `x` holds integers.

    Source: Chaman and Dokmanic, 2021, "Truly shift-invariant convolutional neural
    networks", https://arxiv.org/abs/2011.14214; theirs takes strides that divide the
    map, compares rounded norms, and breaks ties by index.
    """
    dense = torus_pool(lax.stop_gradient(x), window, pool)
    energy = energy_of(dense, len(window.strides), p)
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

    Raises:
        ValueError: strides that do not fit the map, or p is neither 1 nor 2.
        TypeError: `x` holds integers, or p is not an integer.

    Source: as `adaptive_polyphase`.
    """
    strides, spatial = _spatial(x, strides)
    output_shape = _samples(spatial, strides, output_shape)
    path = dict(strides=strides, output_shape=output_shape, p=p)
    return named(_call("polyphase_choice", path), _choice, **path)(x)


def _choice(x, *, strides, output_shape, p):
    return choose(energy_of(x, len(strides), p), x, strides, output_shape)


def polyphase_downsample(
    x: Num[Array, "*batch_and_space channels"],
    choice: Int[Array, "*batch rank"],
    strides: windows.Sizes,
    output_shape: Sequence[int] | None = None,
) -> Num[Array, "*batch_and_space_out channels"]:
    """The samples choice + i strides, modulo the size, of each map.

    With the choice of `polyphase_choice`, the shift guarantee of `adaptive_polyphase`.

    Raises:
        ValueError: strides that do not fit the map, or a choice that is not one offset
            per image.
        TypeError: a choice that holds no integers.

    Source: as `adaptive_polyphase`.
    """
    strides, spatial = _spatial(x, strides)
    _check_choice(choice, x, strides)
    path = dict(strides=strides, output_shape=_samples(spatial, strides, output_shape))
    return named(_call("polyphase_downsample", path), _samples_at, **path)(x, choice)


def _samples_at(x, choice, *, strides, output_shape):
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
    path = dict(strides=strides, output_shape=spatial)
    return named(_call("polyphase_upsample", path), _put_back, **path)(y, choice)


def _put_back(y, choice, *, strides, output_shape):
    leading = y.ndim - len(strides) - 1
    margins = (
        (0, size - 1 - (n - 1) * stride, stride - 1)
        for n, size, stride in zip(
            y.shape[leading:-1], output_shape, strides, strict=True
        )
    )
    config = ((0, 0, 0),) * leading + (*margins, (0, 0, 0))
    return rotate(lax.pad(y, jnp.zeros((), y.dtype), config), -choice)


def _call(name, path):
    return f"{name}({', '.join(f'{k}={v}' for k, v in path.items())})"


def _check_choice(choice, x, strides):
    check_array("choice", choice)
    batch = x.shape[: x.ndim - len(strides) - 1]
    if choice.shape != (*batch, len(strides)):
        raise ValueError(
            f"choice of shape {choice.shape} must have shape {(*batch, len(strides))}"
        )
    if not jnp.issubdtype(choice.dtype, jnp.integer):
        raise TypeError(f"a choice holds integers, got {choice.dtype}")


def _spatial(x, strides):
    rank = windows.rank_of(strides, "strides")
    spatial = windows.spatial_shape(x, rank)
    check_numbers(x)
    if 0 in spatial:
        raise ValueError(f"a map of shape {x.shape} has no samples")
    return windows.sizes(strides, rank, "strides"), spatial


def _samples(spatial, strides, output_shape):
    if output_shape is None:
        return tuple(-(-n // s) for n, s in zip(spatial, strides, strict=True))
    return windows.sizes(output_shape, len(strides), "output_shape")
