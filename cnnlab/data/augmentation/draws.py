"""Random numbers that are the same whatever the image's dtype and JAX's default one."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, Key


def uniform(key: Key[Array, ""], shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
    """Uniform in [-1, 1)."""
    return jax.random.uniform(key, shape, jnp.float32, -1, 1)


def integers(key: Key[Array, ""], low: int, sizes: tuple[int, ...]) -> Int[Array, " n"]:
    """One integer for each of `sizes`, uniform in [low, low + size)."""
    high = low + jnp.array(sizes, jnp.int32)
    return jax.random.randint(key, (len(sizes),), low, high, jnp.int32)


def chance(key: Key[Array, ""], rate: float) -> Bool[Array, ""]:
    """True at this rate, in [0, 1]."""
    return jax.random.uniform(key, (), jnp.float32) < rate
