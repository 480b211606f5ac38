"""Where an image lies: crops of its padded self, and flips. Any dtype."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Key, Num

from cnnlab.data.augmentation.arguments import (
    LARGEST_SIDE,
    check_image,
    check_within,
)
from cnnlab.data.augmentation.draws import chance, integers
from cnnlab.data.augmentation.registry import augmentations
from cnnlab.ops.arguments import check_integer
from cnnlab.ops.warping import continued, filling
from cnnlab.ops.windows import check_boundary

_AXES = {"horizontal": 1, "vertical": 0}


@augmentations.register
def pad_and_crop(
    key: Key[Array, ""],
    image: Num[Array, "height width channels"],
    *,
    padding: int = 4,
    boundary: str = "zero",
    fill: float | tuple[float, ...] | Array = 0.0,
) -> Num[Array, "height width channels"]:
    """A crop of the image's size, from anywhere in the image padded on all sides.

    Each of the (2 padding + 1)^2 places is equally likely.

    Args:
        padding: in pixels.
        boundary: what is padded: "zero", "circular", "reflect" or "edge".
        fill: what "zero" puts there, a number or one for each channel, in the image's
            units.

    Raises:
        ValueError: padding is negative, or no such boundary.
        TypeError: padding is not an integer.

    Source: He, Zhang, Ren and Sun, 2015, section 4.2, "Deep residual learning for image
    recognition", https://arxiv.org/abs/1512.03385; what they pad with zeros has had its
    mean taken off, so that `fill` is the mean of images which have not.
    """
    check_image(image)
    check_integer("padding", padding)
    check_within("padding", padding, 0, LARGEST_SIDE)
    check_boundary(boundary)
    offset = integers(key, -padding, (2 * padding + 1,) * 2)
    (rows, in_rows), (columns, in_columns) = (
        continued(jnp.arange(size) + start, size, boundary)
        for size, start in zip(image.shape, offset, strict=False)
    )
    # One gather: the padded image is never made.
    crop = image.at[rows[:, None], columns].get(mode="promise_in_bounds")
    if boundary != "zero":
        return crop
    inside = (in_rows[:, None] & in_columns)[..., None]
    return jnp.where(inside, crop, filling(fill, image))


@augmentations.register
def random_flip(
    key: Key[Array, ""],
    image: Num[Array, "height width channels"],
    *,
    rate: float = 0.5,
    direction: str = "horizontal",
) -> Num[Array, "height width channels"]:
    """The image, at this rate as seen in a mirror.

    Args:
        rate: how often, in [0, 1].
        direction: "horizontal" swaps left and right, "vertical" top and bottom.

    Raises:
        ValueError: rate is outside of [0, 1], or no such direction.
    """
    check_image(image)
    check_within("rate", rate, 0, 1)
    if direction not in _AXES:
        raise ValueError(
            f"unknown direction {direction!r}; choose from {', '.join(_AXES)}"
        )
    flipped = jnp.flip(image, _AXES[direction])
    return jnp.where(chance(key, rate), flipped, image)
