"""Blocks of pixels as channels, and back: subsampling that loses nothing."""

import math

from jax import Array
from jaxtyping import Shaped

from cnnlab.ops import windows
from cnnlab.ops.named import named


def space_to_depth(
    x: Shaped[Array, "*batch_and_space channels"], block: windows.Sizes = 2
) -> Shaped[Array, "*batch_and_space_out channels_out"]:
    """`x` with the entries of every block of pixels laid out along the channels.

    Channel (row-major position in the block) * channels + c of the result is channel c
    of `x` there, as in TensorFlow. A shift by the block shifts the result by one entry;
    any other permutes channels too. `depth_to_space` is the inverse, and the gradient.

    Args:
        block: an int is a square 2-D block; a tuple gives one to three spatial axes.

    Raises:
        ValueError: the block does not divide the map.
        TypeError: a block that is not made of integers.

    Source: Shi et al., 2016, its sub-pixel convolution layer inverted, "Real-time
    single image and video super-resolution using an efficient sub-pixel convolutional
    neural network", https://arxiv.org/abs/1609.05158
    """
    block, spatial = _block(x, block)
    if any(n % b for n, b in zip(spatial, block, strict=True)):
        raise ValueError(f"block {block} does not divide the map {spatial}")
    return named(f"space_to_depth(block={block})", _space_to_depth, block=block)(x)


def depth_to_space(
    x: Shaped[Array, "*batch_and_space channels"], block: windows.Sizes = 2
) -> Shaped[Array, "*batch_and_space_out channels_out"]:
    """`x` with the channels of every entry laid out as a block of pixels.

    The inverse of `space_to_depth`, with the same block and order of channels.

    Raises:
        ValueError: the block's size does not divide the channels.
        TypeError: a block that is not made of integers.

    Source: as `space_to_depth`.
    """
    block, _ = _block(x, block)
    if x.shape[-1] % math.prod(block):
        raise ValueError(f"block {block} does not divide the {x.shape[-1]} channels")
    return named(f"depth_to_space(block={block})", _depth_to_space, block=block)(x)


def _block(x, block):
    """The checked block, and the sizes of the map's spatial axes."""
    rank = windows.rank_of(block, "block")
    block = windows.sizes(block, rank, "block")
    return block, windows.spatial_shape(x, rank)


def _space_to_depth(x, *, block):
    rank = len(block)
    batch, spatial = x.shape[: x.ndim - rank - 1], windows.spatial_shape(x, rank)
    channels = x.shape[-1] * math.prod(block)
    coarse = tuple(n // b for n, b in zip(spatial, block, strict=True))
    pairs = [size for pair in zip(coarse, block, strict=True) for size in pair]
    x = x.reshape(*batch, *pairs, x.shape[-1])
    # [coarse, block] per axis becomes all the coarse axes, then all of the block's.
    first = len(batch)
    order = *range(first, first + 2 * rank, 2), *range(first + 1, first + 2 * rank, 2)
    x = x.transpose(*range(first), *order, x.ndim - 1)
    return x.reshape(*batch, *coarse, channels)


def _depth_to_space(x, *, block):
    rank = len(block)
    batch, coarse = x.shape[: x.ndim - rank - 1], windows.spatial_shape(x, rank)
    channels = x.shape[-1] // math.prod(block)
    x = x.reshape(*batch, *coarse, *block, channels)
    first = len(batch)
    order = [first + i * rank + axis for axis in range(rank) for i in range(2)]
    x = x.transpose(*range(first), *order, x.ndim - 1)
    fine = (n * b for n, b in zip(coarse, block, strict=True))
    return x.reshape(*batch, *fine, channels)
