"""Cutout: a square of the image hidden."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Key, Num

from cnnlab.data.augmentation.arguments import (
    LARGEST_SIDE,
    check_image,
    check_within,
)
from cnnlab.data.augmentation.draws import integers
from cnnlab.data.augmentation.registry import augmentations
from cnnlab.ops.arguments import check_integer
from cnnlab.ops.warping import filling


@augmentations.register
def cutout(
    key: Key[Array, ""],
    image: Num[Array, "height width channels"],
    *,
    size: int = 16,
    fill: float | tuple[float, ...] | Array = 0.0,
) -> Num[Array, "height width channels"]:
    """The image with a square replaced by `fill`, wherever its centre falls.

    The centre is any pixel, each equally likely, so that part of the square may lie
    outside of the image. An even square reaches one pixel further up and left of it.

    Args:
        size: of a side, in pixels; the paper's best were 16 for CIFAR-10 and 8 for
            CIFAR-100.
        fill: a number or one for each channel, in the image's units.

    Raises:
        ValueError: size is negative.
        TypeError: size is not an integer.

    Source: DeVries and Taylor, 2017, section 3, "Improved regularization of
    convolutional neural networks with cutout", https://arxiv.org/abs/1708.04552; they
    hide with zeros after the mean is taken off, so that `fill` is the mean of images of
    which it is not.
    """
    check_image(image)
    check_integer("size", size)
    check_within("size", size, 0, LARGEST_SIDE)
    sides = image.shape[:2]
    centre = integers(key, 0, sides)
    rows, columns = (
        (jnp.arange(side) >= first) & (jnp.arange(side) < first + size)
        for side, first in zip(sides, centre - size // 2, strict=True)
    )
    hidden = (rows[:, None] & columns)[..., None]
    return jnp.where(hidden, filling(fill, image), image)
