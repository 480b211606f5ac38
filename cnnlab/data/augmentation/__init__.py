"""Random changes of images, each a pure function (key, image) -> image.

An image is `[height, width, channels]`, in [0, 1] where colours are concerned, and
keeps its shape and dtype; for a batch with a key for each image, `jax.vmap`. `mixup`
alone is of whole batches, as it changes labels too.
"""

from cnnlab.data.augmentation.affine import (
    random_affine,
    random_rotation,
    random_scale,
    random_shear,
    random_translation,
)
from cnnlab.data.augmentation.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    grayscale,
)
from cnnlab.data.augmentation.color_jitter import (
    color_jitter,
    random_brightness,
    random_contrast,
    random_grayscale,
    random_hue,
    random_saturation,
)
from cnnlab.data.augmentation.composition import resolve_augmentation
from cnnlab.data.augmentation.cutout import cutout
from cnnlab.data.augmentation.mixup import mixup
from cnnlab.data.augmentation.pca_noise import color_axes, pca_noise
from cnnlab.data.augmentation.placement import pad_and_crop, random_flip
from cnnlab.data.augmentation.registry import augmentations

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "augmentations",
    "color_axes",
    "color_jitter",
    "cutout",
    "grayscale",
    "mixup",
    "pad_and_crop",
    "pca_noise",
    "random_affine",
    "random_brightness",
    "random_contrast",
    "random_flip",
    "random_grayscale",
    "random_hue",
    "random_rotation",
    "random_saturation",
    "random_scale",
    "random_shear",
    "random_translation",
    "resolve_augmentation",
]
