"""Augmentations one after another, from their specs."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array

from cnnlab.data.augmentation.registry import augmentations
from cnnlab.ops.registry import takes, unwrapped

Augmentation = Callable[[Array, Array], Array]


def resolve_augmentation(
    specs: str | Augmentation | Sequence[str | Augmentation],
    image_shape: tuple[int, int, int] | None = None,
    *,
    fill: float | tuple[float, ...] | Array = 0.0,
) -> Augmentation:
    """One function (key, image) -> image that takes every step in turn.

    Step i draws from `fold_in(key, i)`. No steps at all leave the image as it is. For a
    batch: `jax.vmap(augment)(keys, images)`.

    Args:
        specs: such as `["pad_and_crop(padding=4)", "random_flip"]`; a function
            (key, image) -> image stands for itself.
        image_shape: height, width and channels, for which the steps are tried (traced,
            not computed); None leaves what depends on it to the first call.
        fill: for the steps that have a `fill` and are given none, such as the mean of
            images that have theirs taken off later.

    Raises:
        ValueError: an unknown name or option, a malformed spec, or a step that cannot
            be used; the message begins with the step.
    """
    if isinstance(specs, str) or callable(specs):
        specs = (specs,)
    steps = tuple(_filled(augmentations.resolve(spec), fill) for spec in specs)
    if image_shape is not None:
        for spec, step in zip(specs, steps, strict=True):
            _try(spec, step, image_shape)

    def augment(key, image):
        for index, step in enumerate(steps):
            image = step(jax.random.fold_in(key, index), image)
        return image

    return augment


def _filled(step, fill):
    _, bound = unwrapped(step)
    if not takes(step, "fill") or "fill" in bound:
        return step
    return functools.partial(step, fill=fill)


def _try(spec, step, image_shape):
    image = jax.ShapeDtypeStruct(image_shape, jnp.float32)
    key = jax.eval_shape(jax.random.key, 0)
    try:
        result = jax.eval_shape(step, key, image)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{spec}: {error}") from error
    form = getattr(result, "shape", None), getattr(result, "dtype", None)
    if form != (image.shape, image.dtype):
        raise ValueError(f"{spec}: makes {result} of {image}")
