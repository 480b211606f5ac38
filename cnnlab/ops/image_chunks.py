"""A few images at a time, so that what is laid out for them stays in a cache."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

# What is laid out at a time, in bytes: about what a core's cache holds. Twice or half
# as much made little difference; ten times as much was twice as slow.
LAID_OUT = 4 * 2**20


def in_chunks(
    function: Callable[[Array], Array], x: Array, *, entries: int, at_least: int = 1
) -> Array:
    """`function(x)`, a few images at a time.

    Args:
        function: from a batch of images to a batch.
        x: `[N, ...]`.
        entries: how many numbers `function` lays out for an image.
        at_least: no fewer images at a time, even if they do not fit.
    """
    if not isinstance(x.shape[0], int):
        # A batch of a size to be known later, as jax.export takes.
        return function(x)
    batch = len(x)
    count = images_at_a_time(batch, entries * x.dtype.itemsize, at_least)
    if count >= batch:
        return function(x)
    out = lax.map(function, chunks(x, count))
    return out.reshape(-1, *out.shape[2:])[:batch]


def images_at_a_time(batch: int, size: int, at_least: int = 1) -> int:
    """How many images of `size` bytes fit: if at all near, a divisor of the batch."""
    most = min(max(1, LAID_OUT // size, at_least), batch)
    near = range(most, max(at_least, most // 2) - 1, -1)
    return next((n for n in near if batch % n == 0), most)


def chunks(x: Array, count: int) -> Array:
    """`[chunks, count, ...]`, with images of zeros at the end if they are needed."""
    missing = -len(x) % count
    if missing:
        x = jnp.pad(x, ((0, missing), *((0, 0),) * (x.ndim - 1)))
    return x.reshape(-1, count, *x.shape[1:])
