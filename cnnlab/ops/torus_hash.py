"""What a map looks like from each of its places, in two integers a place."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, UInt32

from cnnlab.ops.float_words import words

# Two odd numbers, and a start for each of the two hashes: 2^32 over the golden ratio,
# the multipliers of MurmurHash3's finaliser, and the square root of 2.
_STREAMS = np.uint32([(0x9E3779B1, 0x6A09E667), (0x85EBCA77, 0xC2B2AE3D)])


def torus_hash(
    x: Float[Array, "*batch_and_space channels"], rank: int
) -> tuple[UInt32[Array, "*batch_and_space"], UInt32[Array, "*batch_and_space"]]:
    """Two independent hashes of the whole torus as it is seen from each place.

    They move with the map under any circular shift. Places from which the torus looks
    the same have equal hashes; others differ but for a chance of about 2^-64.

    By prefix doubling: the hash of a stretch of 2 n places mixes those of its halves,
    axis by axis, until a stretch goes all around.

    Args:
        rank: how many axes before the channels are spatial.
    """
    return tuple(_hash(x, rank, *stream) for stream in _STREAMS)


def _hash(x, rank, multiplier, start):
    channels = jnp.arange(x.shape[-1], dtype=jnp.uint32)
    seen = _scatter(channels * multiplier + start)
    for word in words(x):
        seen = _scatter(seen ^ word)
    seen = jnp.sum(seen, axis=-1, dtype=jnp.uint32)
    for axis in range(x.ndim - rank - 1, x.ndim - 1):
        stretch = 1
        while stretch < x.shape[axis]:
            further = jnp.roll(seen, -stretch, axis)
            seen = _scatter(_scatter(seen) * multiplier + further + start)
            stretch *= 2
    return seen


def _scatter(h):
    """A permutation of 32 bits in which each bit of `h` sways all: MurmurHash3's."""
    h = (h ^ (h >> 16)) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * np.uint32(0xC2B2AE35)
    return h ^ (h >> 16)
