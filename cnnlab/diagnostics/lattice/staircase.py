"""Values folded back into a small range, by one pointwise map for all copies.

The map is a staircase, floor(y 2^k + c). It does not fall, so that it commutes with a
maximum; what commutes with every pointwise function commutes with it; and it stands
only after a pointwise function that is there anyway, so that no identity of linear
layers (a mean of means is a mean) is lost. Its power of two comes from the copy that
did not move, and is the same for all. No multiple of a power of two lies on an edge of
a step, as c is none, and what rounding moves by 1e-15 crosses one with a chance of
about 1e-14 an entry.
"""

import jax.numpy as jnp

from cnnlab.diagnostics.lattice.copies import Copies, copies, scale_by

# The golden section: far from every fraction. It keeps 0 at 0.
_EDGE = (3 - 5**0.5) / 2
# A deviation of eight steps is left, and no more than one of sixteen.
_STEPS = 3
_LARGEST, _FINEST = 64, 16


def folded(y: Copies) -> Copies:
    """`y` as integers of few bits; as it is where it is that already."""
    first = y.arrays[0]
    steps = first * _FINEST
    small = jnp.all((jnp.abs(first) <= _LARGEST) & (steps == jnp.round(steps)))
    return _where(~(y.exact & small), y)


def whole(y: Copies) -> Copies:
    """`y`, folded where it is not exact."""
    return _where(~y.exact, y)


def _where(needed, y: Copies) -> Copies:
    kept = copies(jnp.where(needed, staircase(y.arrays), y.arrays))
    return kept._replace(unrounded=y.unrounded & kept.exact)


def staircase(arrays):
    """floor(y 2^k + c), with a deviation of the first copy of 8 to 16 steps."""
    deviation = jnp.std(jnp.where(jnp.isfinite(arrays[0]), arrays[0], 0))
    _, exponent = jnp.frexp(deviation)
    exponent = jnp.where(deviation > 0, _STEPS + 1 - exponent, 0)
    return jnp.floor(scale_by(arrays, exponent, arrays) + _EDGE)
