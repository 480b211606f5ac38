"""Noise along the directions in which the colours of a set vary."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Key

from cnnlab.data.augmentation.arguments import (
    check_floating,
    check_image,
    check_within,
)
from cnnlab.data.augmentation.registry import augmentations


class ColorAxes(NamedTuple):
    """Principal axes of the colours of images in [0, 1], as options of `pca_noise`.

    `values` fall; `vectors[i][j]` is channel i of the axis of `values[j]`.
    """

    values: tuple[float, ...]
    vectors: tuple[tuple[float, ...], ...]


# As in fb.resnet.torch's datasets/imagenet.lua (Gross and Wilber, 2016,
# https://github.com/facebook/fb.resnet.torch): the paper does not print them.
IMAGENET = ColorAxes(
    values=(0.2175, 0.0188, 0.0045),
    vectors=(
        (-0.5675, 0.7192, 0.4009),
        (-0.5808, -0.0045, -0.8140),
        (-0.5836, -0.6948, 0.4203),
    ),
)


@augmentations.register
def pca_noise(
    key: Key[Array, ""],
    image: Float[Array, "height width channels"],
    *,
    deviation: float = 0.1,
    values: tuple[float, ...] = IMAGENET.values,
    vectors: tuple[tuple[float, ...], ...] = IMAGENET.vectors,
) -> Float[Array, "height width channels"]:
    """The image, every pixel of it moved by one draw of vectors @ (alpha * values).

    alpha is normal with mean 0, one number for each axis; the result is not clipped.
    The axes are those of images in [0, 1], as values grow with the square of the range.

    Args:
        deviation: the standard deviation of alpha; 0 leaves the image as it is.
        values, vectors: a set's `color_axes`.

    Raises:
        ValueError: deviation is negative, or the axes do not fit the channels.
        TypeError: the image does not hold floating-point numbers.

    Source: Krizhevsky, Sutskever and Hinton, 2012, section 4.1, "ImageNet
    classification with deep convolutional neural networks".
    """
    check_within("deviation", deviation, 0, 1e3)
    check_floating(image)
    lengths, axes = np.array(values), np.array(vectors)
    if lengths.ndim != 1 or axes.shape != lengths.shape * 2:
        raise ValueError(
            f"values {lengths.shape} and vectors {axes.shape} must be (n,) and (n, n)"
        )
    check_image(image, lengths.shape)
    alpha = deviation * jax.random.normal(key, lengths.shape, jnp.float32)
    # Written out: an accelerator may multiply matrices in ten bits.
    noise = (alpha * (axes * lengths).astype(np.float32)).sum(axis=-1)
    wide = image.astype(jnp.promote_types(image.dtype, jnp.float32))
    return (wide + noise).astype(image.dtype)


def color_axes(images: np.ndarray) -> ColorAxes:
    """The eigenvalues and eigenvectors of the covariance of all pixels' colours.

    Args:
        images: `[n, height, width, channels]`, uint8, or floats in [0, 1].

    Raises:
        ValueError: another shape, or no pixel at all.
    """
    if images.ndim != 4 or not images.size:
        raise ValueError(
            f"images [n, height, width, channels] are needed, got {images.shape}"
        )
    white = 255.0 if images.dtype == np.uint8 else 1.0
    channels = images.shape[-1]
    total, squares = np.zeros(channels), np.zeros((channels, channels))
    # Image by image, as float64 would need eight times the memory of the set.
    for image in images:
        pixels = image.reshape(-1, channels) / white
        total += pixels.sum(axis=0, dtype=np.float64)
        squares += pixels.T @ pixels
    count = images.size / channels
    mean = total / count
    values, vectors = np.linalg.eigh(squares / count - np.outer(mean, mean))
    return ColorAxes(
        tuple(np.maximum(values[::-1], 0).tolist()),
        tuple(map(tuple, vectors[:, ::-1].tolist())),
    )
