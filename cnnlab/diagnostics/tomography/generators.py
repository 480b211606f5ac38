"""The motions of images, and how each moves a map.

A motion has a velocity v at every pixel. A map u that moves with it changes by

    G u = -(v_y du/dy + v_x du/dx)

per unit of the motion, in pixels of the image, whatever the map's stride.
"""

import numbers
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cnnlab.diagnostics.places import Place
from cnnlab.diagnostics.waves import DIFFERENTIABLE, along, derivative

# The velocity, downwards and to the right, at y and x pixels from the centre.
Velocity = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _down(y, x):
    return np.ones_like(y), np.zeros_like(x)


def _right(y, x):
    return np.zeros_like(y), np.ones_like(x)


def _counterclockwise(y, x):
    return -x, y


def _outwards(y, x):
    return y, x


TRANSFORMATIONS: dict[str, tuple[Velocity, ...]] = {
    "translation": (_down, _right),
    "translation_y": (_down,),
    "translation_x": (_right,),
    "rotation": (_counterclockwise,),
    "scale": (_outwards,),
}


class Motion(NamedTuple):
    """A velocity, and what lies beyond the maps that have it."""

    velocity: Velocity
    boundary: str


def motions_of(transformation: str, boundary: str | None) -> tuple[Motion, ...]:
    """The motions that a transformation is made of.

    Args:
        boundary: None is a torus for translations, which a torus can do, and else
            the mirror image.

    Raises:
        ValueError: an unknown boundary.
    """
    if boundary is None:
        is_shift = transformation.startswith("translation")
        boundary = "circular" if is_shift else "mirror"
    if boundary not in DIFFERENTIABLE:
        raise ValueError(
            f"boundary {boundary!r} must be one of {', '.join(DIFFERENTIABLE)}"
        )
    return tuple(Motion(v, boundary) for v in TRANSFORMATIONS[transformation])


def checked_transformations(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once.

    Raises:
        ValueError: there is none, or one is unknown.
    """
    names = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
    unknown = [name for name in names if name not in TRANSFORMATIONS]
    if unknown or not names:
        got = repr(unknown[0]) if unknown else "none"
        raise ValueError(
            f"transformations must be of {', '.join(TRANSFORMATIONS)}, got {got}"
        )
    return names


def checked_centre(
    centre: Sequence[float] | None, sides: Sequence[int]
) -> tuple[float, float]:
    """The centre in pixels, (y, x); None is the middle of an image of these sides.

    Raises:
        ValueError: it is not two finite numbers.
    """
    if centre is None:
        return tuple((side - 1) / 2 for side in sides)
    pair = np.asarray(centre, dtype=object)
    if pair.shape != (2,) or not all(_is_finite(side) for side in pair):
        raise ValueError(f"centre must be (y, x) in pixels, got {centre!r}")
    return float(pair[0]), float(pair[1])


def _is_finite(number) -> bool:
    return isinstance(number, numbers.Real) and bool(np.isfinite(float(number)))


def moved(u, place: Place, motion: Motion, centre: Sequence[float]):
    """G u: what a map, or anything laid out as `place` says, changes by.

    Zero where no entry has a place: what a motion should leave alone.

    Args:
        u: a NumPy or JAX array.
        centre: of the motion, in pixels from the middle of the first one.
    """
    if not place.is_map:
        return 0 * u
    y, x = (
        float(phase) + float(stride) * np.arange(u.shape[axis]) - middle
        for axis, stride, phase, middle in zip(
            place.axes, place.stride, place.phase, centre, strict=True
        )
    )
    change = 0
    speeds = motion.velocity(*np.meshgrid(y, x, indexing="ij"))
    for axis, stride, speed in zip(place.axes, place.stride, speeds, strict=True):
        if speed.any():
            slope = along(u, derivative(u.shape[axis], motion.boundary), axis)
            change = change - _laid_out(speed / float(stride), u, place) * slope
    return change


def _laid_out(speed: np.ndarray, u, place: Place):
    """[height, width] as an array that multiplies `u`."""
    down, across = place.axes
    speed = speed if down < across else speed.T
    shape = [size if i in place.axes else 1 for i, size in enumerate(u.shape)]
    return u.__array_namespace__().asarray(speed.reshape(shape), dtype=u.dtype)
