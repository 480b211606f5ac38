"""A value of a program for many copies of one image, and whether it is exact."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike


class Copies(NamedTuple):
    """A value that depends on the image: of each copy of it, along a first axis.

    The first copy is the image as it is, the second another image, the others are moved
    ones. A value that does not depend on the image is a bare array instead.

    Attributes:
        exact: whether no rounding has touched it: then equal means the same bits.
        unrounded: whether none has touched what it was made of either, before that was
            folded.
    """

    arrays: Array
    exact: Array
    unrounded: Array


# Of a float: the finest fraction that is looked for, 2^-n, the integers that hold such
# multiples, and the bits that an exact value may span. That leaves those of a weight
# and of a sum to the 24 and the 53 bits that the float itself has.
_KINDS = {
    np.dtype(np.float32): (16, np.uint32, 18),
    np.dtype(np.float64): (24, np.uint64, 46),
}


def is_float(dtype: DTypeLike) -> bool:
    """Whether numbers of that kind are rounded."""
    return jnp.issubdtype(dtype, jnp.floating)


def copies(arrays: Array, sources: Sequence[Copies] = ()) -> Copies:
    """`arrays`, exact if what they were made of was and if they look like it.

    What is a whole multiple of a power of two, of few bits in all, is the result of
    sums and products of such numbers by no accident; a ninth, a root or an exponential
    is none.
    """
    exact = _looks_exact(arrays[:2]) if is_float(arrays.dtype) else jnp.array(True)
    unrounded = exact
    for source in sources:
        exact, unrounded = exact & source.exact, unrounded & source.unrounded
    return Copies(arrays, exact, unrounded)


def few_bits(array: Array) -> Array:
    """Whether weights are multiples of 1/256, none above 64: exact as they are."""
    return _is_dyadic(array, 8, 6)


def power_of_two(array: Array) -> Array:
    """The powers of two nearest to them by ratio, signs kept; 0 stays 0."""
    mantissa, exponent = jnp.frexp(array)
    # A mantissa is in [1/2, 1).
    exponent -= (jnp.abs(mantissa) < 0.5**0.5).astype(exponent.dtype)
    return jnp.where(array == 0, 0, jnp.sign(array) * scale_by(1.0, exponent, array))


def scale_by(x: Any, exponent: Array, like: Array) -> Array:
    """x 2^exponent, without rounding."""
    return jnp.ldexp(jnp.asarray(x, like.dtype), exponent)


def _looks_exact(array):
    kind = np.dtype(array.dtype)
    if kind not in _KINDS:
        # Narrower floats hold small integers, and round all else out of sight.
        most = 2.0 ** int(jnp.finfo(kind).nmant)
        return jnp.all((array == jnp.round(array)) & (jnp.abs(array) < most))
    after, integers, bits = _KINDS[kind]
    # A maximum over nothing is minus infinity, exactly.
    multiple = jnp.where(jnp.isinf(array), 0, jnp.abs(array)) * 2.0**after
    most = 2.0 ** (8 * np.dtype(integers).itemsize - 2)
    fits = jnp.all((multiple == jnp.round(multiple)) & (multiple < most))
    held = jnp.where(multiple < most, multiple, 0).astype(integers)
    used = lax.reduce(held, integers(0), lax.bitwise_or, tuple(range(array.ndim)))
    lowest = jnp.maximum(used & (~used + integers(1)), integers(1))
    return fits & (used // lowest < 2**bits)


def _is_dyadic(array, after, before):
    shifted = array * 2.0**after
    return jnp.all((shifted == jnp.round(shifted)) & (jnp.abs(array) < 2.0**before))
