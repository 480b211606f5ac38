"""Colours changed at random. Images are in [0, 1], and stay there."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from cnnlab.data.augmentation import color
from cnnlab.data.augmentation.arguments import check_within
from cnnlab.data.augmentation.draws import chance, uniform
from cnnlab.data.augmentation.registry import augmentations

Image = Float[Array, "height width channels"]


@augmentations.register
def random_brightness(
    key: Key[Array, ""], image: Image, *, strength: float = 0.4
) -> Image:
    """`adjust_brightness` by a factor uniform in [1 - strength, 1 + strength].

    Raises:
        ValueError: strength is outside of [0, 1].
    """
    return color.adjust_brightness(image, _factor(key, "strength", strength))


@augmentations.register
def random_contrast(
    key: Key[Array, ""], image: Image, *, strength: float = 0.4
) -> Image:
    """`adjust_contrast` by a factor uniform in [1 - strength, 1 + strength].

    Raises:
        ValueError: strength is outside of [0, 1].
    """
    return color.adjust_contrast(image, _factor(key, "strength", strength))


@augmentations.register
def random_saturation(
    key: Key[Array, ""], image: Image, *, strength: float = 0.4
) -> Image:
    """`adjust_saturation` by a factor uniform in [1 - strength, 1 + strength].

    Raises:
        ValueError: strength is outside of [0, 1].
    """
    return color.adjust_saturation(image, _factor(key, "strength", strength))


@augmentations.register
def random_hue(key: Key[Array, ""], image: Image, *, turns: float = 0.1) -> Image:
    """`adjust_hue` by an amount uniform in [-turns, turns].

    Raises:
        ValueError: turns is outside of [0, 0.5].
    """
    return color.adjust_hue(image, _turns(key, "turns", turns))


@augmentations.register
def color_jitter(
    key: Key[Array, ""],
    image: Image,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
) -> Image:
    """The image after the four changes of colour, in the order of the arguments.

    Args:
        brightness, contrast, saturation: the strength of each, in [0, 1].
        hue: the largest change to either side, in turns of the colour wheel.

    Raises:
        ValueError: a strength outside of [0, 1], or a hue outside of [0, 0.5].

    Source: Howard, 2013, "Some improvements on deep convolutional neural
    network based image classification", https://arxiv.org/abs/1312.5402; there, and in
    torchvision, the order is drawn too, which on a device costs every order's time.
    """
    keys = jax.random.split(key, 4)
    image = color.adjust_brightness(image, _factor(keys[0], "brightness", brightness))
    image = color.adjust_contrast(image, _factor(keys[1], "contrast", contrast))
    image = color.adjust_saturation(image, _factor(keys[2], "saturation", saturation))
    return color.adjust_hue(image, _turns(keys[3], "hue", hue))


@augmentations.register
def random_grayscale(key: Key[Array, ""], image: Image, *, rate: float = 0.2) -> Image:
    """The image, at this rate as its greyscale.

    Raises:
        ValueError: rate is outside of [0, 1].
    """
    check_within("rate", rate, 0, 1)
    gray = color.grayscale(image)
    return jnp.where(chance(key, rate), gray, image)


def _factor(key, name, strength):
    check_within(name, strength, 0, 1)
    return 1 + strength * uniform(key)


def _turns(key, name, turns):
    check_within(name, turns, 0, 0.5)
    return turns * uniform(key)
