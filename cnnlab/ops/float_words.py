"""Floats as unsigned integers, which no rounding and no order of a sum can change."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, UInt32

_SIGNLESS = np.uint32(0x7FFFFFFF)
_ALL = np.uint32(0xFFFFFFFF)


def words(x: Float[Array, "..."]) -> tuple[UInt32[Array, "..."], ...]:
    """The bits of float32 (one word) or float64 (two, the more significant first).

    Equal entries have equal words: -0.0 has those of 0.0, and all NaN are alike.
    """
    if x.dtype == jnp.float64:
        pair = lax.bitcast_convert_type(x, jnp.uint32)
        parts = pair[..., 1], pair[..., 0]
    else:
        parts = (lax.bitcast_convert_type(x, jnp.uint32),)
    # A comparison of floats may take a subnormal for 0, here but not there.
    rest = parts[0] << 1
    for part in parts[1:]:
        rest |= part
    zero, nan = rest == 0, x != x
    return tuple(jnp.where(nan, _ALL, jnp.where(zero, 0, part)) for part in parts)


def fixed_point(
    x: Float[Array, "..."], bits: int, axes: tuple[int, ...]
) -> UInt32[Array, "..."]:
    """floor(2^bits |x| / u), u the least power of two above all |x| along `axes`.

    Computed in integers, so that equal magnitudes give equal numbers wherever they
    stand. An infinity counts as 2^128 (2^1024); beside a NaN all else gives 0.

    Args:
        bits: 1 to 32; of a float64 no more than 21 come to count.
    """
    magnitude = words(x)[0]
    fraction = 20 if x.dtype == jnp.float64 else 23
    magnitude = jnp.where(x != x, magnitude, magnitude & _SIGNLESS)
    exponent = magnitude >> fraction
    hidden = (exponent > 0).astype(jnp.uint32) << fraction
    significand = magnitude & ((1 << fraction) - 1) | hidden
    exponent = jnp.maximum(exponent, 1)
    largest = jnp.max(exponent, axes, keepdims=True, initial=1)
    drop = largest - exponent + (32 - bits)
    kept = (significand << (31 - fraction)) >> jnp.minimum(drop, 31)
    return jnp.where(drop < 32, kept, 0)
