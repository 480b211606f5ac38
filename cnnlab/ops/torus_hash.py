"""What a map looks like from each of its places, in two integers a place."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, UInt32

from cnnlab.ops.float_words import words

# Two odd numbers and two starts, from the golden ratio, xxHash and SHA-512.
_MULTIPLIERS = np.uint32([0x9E3779B1, 0x85EBCA77])
_STARTS = np.uint32([0x6A09E667, 0xBB67AE85])


def torus_hash(
    x: Float[Array, "*batch_and_space channels"], rank: int
) -> UInt32[Array, " 2 *batch_and_space"]:
    """Two independent hashes of the whole torus as it is seen from each place.

    They move with the map under any circular shift. Places from which the torus looks
    the same have equal hashes; others differ but for a chance of about 2^-64.

    By prefix doubling: the hash of a stretch of 2 n places mixes those of its halves,
    axis by axis, until a stretch goes all around.

    Args:
        rank: how many axes before the channels are spatial.
    """
    channels = np.arange(x.shape[-1], dtype=np.uint32)[:, None]
    salt = _scatter(channels * _MULTIPLIERS + _STARTS)
    seen = jnp.stack([_of_channels(x, one) for one in salt.T])
    multipliers, starts = (
        values.reshape(2, *(1,) * (x.ndim - 1)) for values in (_MULTIPLIERS, _STARTS)
    )
    for axis in range(-rank, 0):
        size, stretch = seen.shape[axis], 1
        while stretch < size:
            further = jnp.roll(seen, -stretch, axis)
            seen = _scatter(_scatter(seen) * multipliers + further + starts)
            stretch *= 2
    return seen


def _of_channels(x, salt):
    for word in words(x):
        salt = _scatter(salt ^ word)
    return jnp.sum(salt, axis=-1, dtype=jnp.uint32)


def _scatter(h):
    """A permutation of 32 bits in which each bit of `h` sways all: MurmurHash3's."""
    h = (h ^ (h >> 16)) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * np.uint32(0xC2B2AE35)
    return h ^ (h >> 16)
