"""What augmentations refuse before they compute."""

import numbers

import jax.numpy as jnp
from jax import Array

# A side that no image has; sums of a few are still 32-bit integers.
LARGEST_SIDE = 1_000_000


def check_within(name: str, value: float, low: float, high: float) -> None:
    """Refuses what is not one number from `low` to `high`.

    Raises:
        TypeError: it is not a number.
        ValueError: it lies outside, or is NaN.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} takes a number, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} {value!r} must be in [{low}, {high}]")


def check_image(image: Array, channels: tuple[int, ...] = ()) -> None:
    """Refuses what is not `[height, width, channels]`, with one of these counts if any.

    Raises:
        ValueError: another shape.
    """
    if image.ndim != 3:
        raise ValueError(f"an image is [height, width, channels], got {image.shape}")
    if channels and image.shape[-1] not in channels:
        allowed = " or ".join(map(str, channels))
        raise ValueError(f"{image.shape[-1]} channels where {allowed} are needed")


def check_floating(image: Array) -> None:
    """Refuses integers, of which a mixture would be none.

    Raises:
        TypeError: it holds no floating-point numbers.
    """
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise TypeError(f"the image must be floating-point, got {image.dtype}")
