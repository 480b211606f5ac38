"""The copies of a value compared with that of the image that did not move."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Bool, Int

from cnnlab.diagnostics.lattice.copies import Copies, is_float
from cnnlab.diagnostics.lattice.staircase import staircase
from cnnlab.diagnostics.operation import Value
from cnnlab.diagnostics.receptive_field import Field

# Of a value's largest entry: what passes for rounding, in float64 some 1e-15 a sum.
TOLERANCE = 1e-9


class Along(NamedTuple):
    """Which axis of a value runs along a spatial axis of the image, and how densely.

    Attributes:
        axis: None where no axis does.
        stride: pixels from one entry to the next.
    """

    axis: int | None
    stride: Fraction | None


NOWHERE = Along(None, None)


class Findings(NamedTuple):
    """Of each copy of a value how it compares, and what it is in all.

    Attributes:
        varies: whether another image has another value.
        unrounded, finite: whether its arithmetic was.
    """

    invariant: Bool[Array, " copies"]
    equivariant: Bool[Array, " copies"]
    rolled: Bool[Array, " copies"]
    varies: Bool[Array, ""]
    unrounded: Bool[Array, ""]
    finite: Bool[Array, ""]


def axes_of(
    value: Value, fields: Sequence[Field | None] | None, image: Value, spatial
) -> tuple[Along, Along]:
    """Where the image's two spatial axes are in `value`."""
    return tuple(
        _along(value, field, image, axis)
        for field, axis in zip(fields or (None, None), spatial, strict=True)
    )


def _along(value, field, image, axis) -> Along:
    if field is not None:
        along = field.axis is not None and field.stride != 0
        return Along(field.axis, Fraction(field.stride)) if along else NOWHERE
    # Moved by what the program computes: taken for a map like the image.
    if len(value.shape) != len(image.shape) or value.shape[axis] in (0, 1):
        return NOWHERE
    return Along(axis, Fraction(image.shape[axis], value.shape[axis]))


def compared(
    value: Copies,
    along: Sequence[Along],
    batch: int,
    shifts: Int[Array, "copies two"],
) -> Findings:
    """What is found of `value`, of an image whose copies were moved by `shifts`.

    Args:
        batch: how many leading axes are of several images, each with its own roll.
    """
    arrays, first = value.arrays, value.arrays[0]
    tolerance = jnp.zeros(())
    finite = jnp.array(True)
    if is_float(arrays.dtype):
        finite = jnp.all(~jnp.isnan(arrays[:2]))
        size = jnp.max(jnp.abs(jnp.where(jnp.isfinite(first), first, 0)), initial=0)
        tolerance = jnp.where(value.exact, 0, TOLERANCE * size)

    def same(a, b):
        axes = tuple(range(1, a.ndim))
        if not is_float(a.dtype):
            return jnp.all(a == b, axes)
        return jnp.all((a == b) | (jnp.abs(a - b) <= tolerance), axes)

    invariant = same(arrays, first[None])
    there = [one for one in along if one.axis is not None]
    if there:
        moved, fits = _moved(first, along, shifts)
        equivariant = fits & same(arrays, moved)
        seen = _seen(value, [one.axis for one in there], batch)
        rolled = jnp.all(seen == seen[:, :1], (0, 2))
    else:
        equivariant = rolled = invariant
    varies = ~same(arrays[:1], arrays[1:2])[0]
    return Findings(invariant, equivariant, rolled, varies, value.unrounded, finite)


def _moved(first, along, shifts):
    """The value as each shift should leave it, and whether that is whole entries."""
    axes, steps = [], []
    fits = jnp.ones(len(shifts), bool)
    for one, shift in zip(along, shifts.T, strict=True):
        if one.axis is None:
            continue
        numerator, denominator = one.stride.numerator, one.stride.denominator
        fits &= shift * denominator % numerator == 0
        axes.append(one.axis)
        steps.append(shift * denominator // numerator)
    roll = jax.vmap(lambda *step: jnp.roll(first, jnp.stack(step), tuple(axes)))
    return roll(*steps), fits


def _seen(value: Copies, axes: Sequence[int], batch: int) -> Array:
    """Two numbers for each image of each copy that any roll of it leaves, and no more.

    A hash of the torus as it is seen from each place, a product of sums with random
    weights modulo 2^32; the largest of all places stays where the map is rolled.
    """
    x = value.arrays
    if is_float(x.dtype):
        x = jnp.where(value.exact, x, staircase(x))
    batch = min([batch, *axes])
    along = [axis + 1 for axis in axes]
    x = jnp.moveaxis(x, along, range(batch + 1, batch + 1 + len(along)))
    sizes = x.shape[batch + 1 : batch + 1 + len(along)]
    x = x.reshape(math.prod(x.shape[: batch + 1]), *sizes, -1)
    rng = np.random.default_rng(0)
    words = rng.integers(2**32, size=(2, x.shape[-1]), dtype=np.uint32)
    seen = jnp.stack([jnp.sum(_scattered(x, word), -1) for word in words])
    for axis, size in enumerate(sizes, 2):
        weights = rng.integers(2**32, size=size, dtype=np.uint32)
        around = weights[(np.arange(size) - np.arange(size)[:, None]) % size]
        seen = jnp.moveaxis(jnp.tensordot(seen, around.T, (axis, 0)), -1, axis)
    return jnp.max(seen.reshape(2, len(value.arrays), -1, math.prod(sizes)), -1)


def _scattered(x: Array, salt: np.ndarray) -> Array:
    """The entries as integers of 32 bits, of which each tells nothing of its value."""
    # -0 is 0, which it equals.
    low = lax.bitcast_convert_type((x + 0).astype(jnp.float32), jnp.uint32)
    if x.dtype == jnp.float64:
        rest = x - x.astype(jnp.float32)
        rest = lax.bitcast_convert_type((rest + 0).astype(jnp.float32), jnp.uint32)
        low += rest * np.uint32(0x9E3779B1)
    for _ in range(2):
        low = (low ^ salt ^ (low >> 15)) * np.uint32(0x85EBCA6B)
    return low ^ (low >> 13)
