"""Whether values follow an image that is rolled, by rolling it every way."""

import itertools
import math
from fractions import Fraction

import jax
import numpy as np


def rolled_images(image, shifts):
    """`[shifts, height, width, channels]`: the image rolled by each (dy, dx)."""
    return np.stack([np.roll(image, shift, (0, 1)) for shift in shifts])


def multiples(image, lattice):
    """Every shift of an image of this size by multiples of these numbers."""
    return list(
        itertools.product(
            *(range(0, size, step) for size, step in zip(image, lattice, strict=True))
        )
    )


def refuted(row, image, shifts, values, tolerance=1e-9):
    """The claims of `row` that `values` refute.

    Args:
        values: of the image rolled by each shift, which are all shifts or some, the
            first of them (0, 0).
    """
    found = []
    for shift, value in zip(shifts, values, strict=True):
        if _divides(row.shifts, shift) and not _follows(
            row, shift, values[0], value, tolerance
        ):
            found.append(("exactly", shift))
        if _divides(row.shifts_up_to_roll, shift) and not _follows_by_some_roll(
            row, values[0], value, tolerance
        ):
            found.append(("up to a roll", shift))
    return found


def _divides(lattice, shift):
    return all(p % step == 0 for step, p in zip(lattice, shift, strict=True))


def _follows(row, shift, still, moved, tolerance):
    expected = still
    for axis, p, stride in zip(row.axes, shift, row.stride, strict=True):
        if axis is not None and p:
            by = Fraction(p) / stride
            assert by.denominator == 1
            expected = np.roll(expected, int(by), axis)
    return _close(expected, moved, tolerance)


def _follows_by_some_roll(row, still, moved, tolerance):
    axes = [axis for axis in row.axes if axis is not None]
    rolls = itertools.product(*(range(still.shape[axis]) for axis in axes))
    return any(_close(np.roll(still, roll, axes), moved, tolerance) for roll in rolls)


def _close(a, b, tolerance):
    largest = max(float(np.abs(a).max(initial=0)), 1e-300)
    return math.isclose(np.abs(a - b).max(initial=0) / largest, 0, abs_tol=tolerance)


def values_of(function, images):
    """What a function makes of each image, as a batch of one, in float64."""

    def by_image(images):
        return jax.vmap(lambda image: function(image[None]))(images)

    quickly = {"xla_backend_optimization_level": 0}
    with jax.enable_x64(True):
        values = jax.jit(by_image, compiler_options=quickly)(images)
        return jax.tree.map(np.asarray, values)


def computed_lattice(image, shifts, values, tolerance=1e-9):
    """Of a value that stays: along each axis, what divides the shifts under which."""
    same = {
        shift
        for shift, value in zip(shifts, values, strict=True)
        if _close(values[0], value, tolerance)
    }
    along = ({s[i] for s in same if not any(s[:i] + s[i + 1 :])} for i in range(2))
    return tuple(
        math.gcd(size, *found) for size, found in zip(image, along, strict=True)
    )
