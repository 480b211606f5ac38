"""Sums, counts, scales and powers of a window's taps, from which pools are written."""

import functools
import math
import numbers
import operator

import jax.numpy as jnp
from jax import Array, lax

from cnnlab.ops.windows import Taps


def wide(x: Array) -> Array:
    """`x` in the dtype in which sums are taken: at least float32.

    Raises:
        TypeError: `x` holds integers, of which a mean would be none.
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise TypeError(f"a mean needs a floating-point map, got {x.dtype}")
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def check_numbers(x: Array) -> None:
    """Refuses a map of what is no number, with a TypeError."""
    if not jnp.issubdtype(x.dtype, jnp.number):
        raise TypeError(f"the map must hold numbers, got {x.dtype}")


def check_positive(name: str, value) -> None:
    """Refuses an option that has to be a finite number above 0.

    Raises:
        TypeError: it is not a number.
        ValueError: it is not above 0, or not finite.
    """
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{name} takes a number, got {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} {value!r} must be a finite number above 0")


def entry(taps: Taps, index: Array) -> Array:
    """Of each window the tap of that index, or 0 where there is none such."""
    return functools.reduce(
        operator.add, (jnp.where(index == i, tap, 0) for i, tap in enumerate(taps))
    )


def total(taps: Taps) -> Array:
    """The sum of the taps."""
    return functools.reduce(operator.add, taps.values)


def count(taps: Taps, count_include_pad: bool):
    """How many taps a window has, or how many of them lie on the map."""
    if count_include_pad or taps.real is None:
        return len(taps)
    dtype = jnp.promote_types(taps.values[0].dtype, jnp.float32)
    return sum(real.astype(dtype) for real in taps.real)


def scaled(taps: Taps) -> tuple[Array, Taps]:
    """The largest of non-negative taps, and the taps divided by it.

    A mean that grows with its taps does not depend on the scale it is taken at, but
    powers of its taps leave the dtype's range at a bad one. The scale of zeros is 1.
    """
    scale = lax.stop_gradient(functools.reduce(jnp.maximum, taps))
    scale = jnp.where((scale == 0) | jnp.isinf(scale), 1, scale)
    return scale, taps.map(lambda tap: tap / scale)


def power(x: Array, p: float) -> Array:
    """x^p of non-negative `x`, whose derivatives at 0 are 0 where they are infinite."""
    if float(p).is_integer():
        return lax.integer_pow(x, int(p))
    # The power must not even be taken at 0.
    zero = x == 0
    return jnp.where(zero, 0, jnp.where(zero, 1, x) ** p)
