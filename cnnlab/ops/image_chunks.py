"""A few images at a time, so that what is laid out for them stays in a cache."""

from collections.abc import Callable

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
    count = images_at_a_time(len(x), entries * x.dtype.itemsize, at_least)
    if count == len(x):
        return function(x)
    out = lax.map(function, chunks(x, count))
    return out.reshape(len(x), *out.shape[2:])


def images_at_a_time(batch: int, size: int, at_least: int = 1) -> int:
    """The largest divisor of the batch whose images of `size` bytes fit."""
    most = max(1, LAID_OUT // size)
    divisors = [n for n in range(1, batch + 1) if batch % n == 0]
    fitting = [n for n in divisors if at_least <= n <= most]
    if fitting:
        return fitting[-1]
    return next((n for n in divisors if n >= at_least), batch)


def chunks(x: Array, count: int) -> Array:
    """`[N // count, count, ...]`."""
    return x.reshape(len(x) // count, count, *x.shape[1:])
