"""Ways to move images by (dy, dx): down and to the right, in pixels."""

import numpy as np

from cnnlab.diagnostics.predictions import Images


def roll(images: Images, dy: int, dx: int) -> Images:
    """`images` moved circularly: what leaves on one side comes back on the other."""
    return np.roll(images, (dy, dx), (1, 2))


def translate(images: Images, dy: int, dx: int) -> Images:
    """`images` moved down by `dy` and right by `dx` pixels, zeros shifted in."""
    height, width = images.shape[1:3]
    moved = np.zeros_like(images)
    if abs(dy) < height and abs(dx) < width:
        rows, columns = _overlap(dy, height), _overlap(dx, width)
        moved[:, rows[0], columns[0]] = images[:, rows[1], columns[1]]
    return moved


def crop_at(images: Images, top: int, left: int, size: tuple[int, int]) -> Images:
    """The part of `images` of that size whose first pixel is (top, left).

    A larger offset so moves what is seen up and to the left.
    """
    return images[:, top : top + size[0], left : left + size[1]]


def embed_at(images: Images, top: int, left: int, canvas: tuple[int, int]) -> Images:
    """`images` on canvases of zeros of that size, their first pixel at (top, left)."""
    examples, height, width, channels = images.shape
    embedded = np.zeros((examples, *canvas, channels), images.dtype)
    embedded[:, top : top + height, left : left + width] = images
    return embedded


def fourier_shift(images: Images, dy: float, dx: float) -> Images:
    """`images` moved circularly by parts of a pixel, as the waves they are made of.

    Every wave of frequency f is multiplied by exp(-2 pi i f d), which moves the
    trigonometric polynomial through the pixels; where the side is even, the highest
    frequency by cos(pi d), its part that stays real. Whole pixels give `roll` to the
    bit. Values are at least float32 and may pass those of the image: they are not
    clipped.
    """
    images = images.astype(np.promote_types(images.dtype, np.float32))
    for axis, distance in ((1, dy), (2, dx)):
        images = _along(images, distance, axis)
    return images


def _along(images, distance, axis):
    if float(distance).is_integer():
        return np.roll(images, int(distance), axis)
    size = images.shape[axis]
    phases = np.exp(-2j * np.pi * distance * np.fft.rfftfreq(size))
    phases = phases.reshape([-1 if a == axis else 1 for a in range(images.ndim)])
    # The inverse takes the real part of the highest frequency of an even side.
    moved = np.fft.irfft(np.fft.rfft(images, axis=axis) * phases, size, axis)
    return moved.astype(images.dtype)


def _overlap(offset: int, size: int) -> tuple[slice, slice]:
    """(where the image lands, where it comes from) along one axis."""
    return (
        slice(max(offset, 0), size + min(offset, 0)),
        slice(max(-offset, 0), size + min(-offset, 0)),
    )
