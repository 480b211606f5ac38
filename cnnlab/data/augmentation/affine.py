"""Images moved, turned, scaled and sheared, by one warp and so one interpolation.

Every step of its own blurs a little, as it interpolates: where several are wanted,
`random_affine` takes all of them at once.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from cnnlab.data.augmentation.arguments import (
    LARGEST_SIDE,
    check_floating,
    check_image,
    check_within,
)
from cnnlab.data.augmentation.draws import uniform
from cnnlab.data.augmentation.registry import augmentations
from cnnlab.ops.warping import affine_matrix, affine_warp

Image = Float[Array, "height width channels"]
Fill = float | tuple[float, ...] | Array


@augmentations.register
def random_affine(
    key: Key[Array, ""],
    image: Image,
    *,
    degrees: float = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    slope: float = 0.0,
    distance: float = 0.0,
    boundary: str = "zero",
    fill: Fill = 0.0,
) -> Image:
    """The image sheared, scaled and turned about its centre, then moved, at random.

    Each amount is uniform in its range, and independent of the others.

    Args:
        degrees: the largest turn to either side.
        scale: the lowest and the highest factor; above 1 enlarges what is seen.
        slope: the largest horizontal shear to either side, in pixels per row.
        distance: the largest shift up, down, left and right, in pixels.
        boundary: how the image goes on: "zero", "circular", "reflect" or "edge".
        fill: what lies beyond the edge under "zero": a number, or one for each channel.

    Raises:
        ValueError: a range that is negative, empty or reaches a scale of 0, or no such
            boundary.
        TypeError: the image does not hold floating-point numbers.
    """
    check_image(image)
    check_floating(image)
    for name, value in {
        "degrees": degrees,
        "slope": slope,
        "distance": distance,
    }.items():
        check_within(name, value, 0, LARGEST_SIDE)
    low, high = _checked_range(scale)
    draws = uniform(key, (5,))
    matrix = affine_matrix(
        angle=jnp.deg2rad(degrees * draws[0]),
        scale=(low + high) / 2 + (high - low) / 2 * draws[1],
        slope=slope * draws[2],
        translation=distance * draws[3:],
    )
    return affine_warp(image, matrix, boundary=boundary, fill=fill)


@augmentations.register
def random_translation(
    key: Key[Array, ""],
    image: Image,
    *,
    distance: float = 4.0,
    boundary: str = "zero",
    fill: Fill = 0.0,
) -> Image:
    """The image moved by up to `distance` pixels, not whole ones, along either axis.

    Arguments and errors are those of `random_affine`; `pad_and_crop` moves by whole
    pixels, and faster.
    """
    return random_affine(key, image, distance=distance, boundary=boundary, fill=fill)


@augmentations.register
def random_rotation(
    key: Key[Array, ""],
    image: Image,
    *,
    degrees: float = 15.0,
    boundary: str = "zero",
    fill: Fill = 0.0,
) -> Image:
    """The image turned about its centre by up to `degrees` to either side.

    Arguments and errors are those of `random_affine`.
    """
    return random_affine(key, image, degrees=degrees, boundary=boundary, fill=fill)


@augmentations.register
def random_scale(
    key: Key[Array, ""],
    image: Image,
    *,
    scale: tuple[float, float] = (0.8, 1.2),
    boundary: str = "zero",
    fill: Fill = 0.0,
) -> Image:
    """The image scaled about its centre by a factor between the two of `scale`.

    Arguments and errors are those of `random_affine`.
    """
    return random_affine(key, image, scale=scale, boundary=boundary, fill=fill)


@augmentations.register
def random_shear(
    key: Key[Array, ""],
    image: Image,
    *,
    slope: float = 0.2,
    boundary: str = "zero",
    fill: Fill = 0.0,
) -> Image:
    """The image sheared, its rows moving by up to `slope` pixels per row of height.

    Arguments and errors are those of `random_affine`.
    """
    return random_affine(key, image, slope=slope, boundary=boundary, fill=fill)


def _checked_range(scale):
    if not isinstance(scale, tuple) or len(scale) != 2:
        raise TypeError(f"scale takes two numbers (low, high), got {scale!r}")
    for bound in scale:
        check_within("scale", bound, 1e-3, 1e3)
    low, high = scale
    if low > high:
        raise ValueError(f"scale {scale} must not fall from its first to its second")
    return low, high
