"""A small data set that lives on the device as uint8, and is normalised there."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, UInt8

from cnnlab.data import Split
from cnnlab.training.keys import key_for


class Scaling(NamedTuple):
    """Per channel, in uint8 grey levels: networks see (pixel - mean) / deviation."""

    mean: Float[Array, " channels"]
    deviation: Float[Array, " channels"]

    def __call__(
        self,
        images: UInt8[Array, "batch height width channels"]
        | Float[Array, "batch height width channels"],
    ) -> Float[Array, "batch height width channels"]:
        return (images.astype(self.mean.dtype) - self.mean) / self.deviation


class Resident(NamedTuple):
    """A split on the device."""

    images: UInt8[Array, "examples height width channels"]
    labels: Int[Array, " examples"]
    scaling: Scaling

    def batch(
        self,
        index: Int[Array, " batch"],
        *,
        augment: Callable[..., Array] | None = None,
        key: tuple[int | Array, int | Array] = (0, 0),
    ):
        """The examples at `index`, as (normalised images, labels).

        Args:
            augment: from (key, image in 0 to 1) to an image, before it is normalised.
            key: (seed, step), from which each example's key is drawn.
        """
        images, labels = self.images[index], self.labels[index]
        if augment is None:
            return self.scaling(images), labels
        seed, step = key
        keys = jax.random.split(key_for(seed, "augment", step), len(index))
        images = jax.vmap(augment)(keys, images.astype(self.scaling.mean.dtype) / 255)
        return self.scaling(images * 255), labels


def scaling_of(split: Split, dtype: np.dtype | str = "float32") -> Scaling:
    """The scaling that gives each channel of `split` mean 0 and deviation 1."""
    mean, deviation = moments_of(split)
    return Scaling(jnp.asarray(mean, dtype), jnp.asarray(deviation, dtype))


def moments_of(
    split: Split,
) -> tuple[Float[np.ndarray, " channels"], Float[np.ndarray, " channels"]]:
    """Each channel's mean and deviation, in grey levels; no deviation is below 1.

    By NumPy, in float64: nothing is compiled.
    """
    counts = np.stack(
        [
            np.bincount(split.images[..., channel].ravel(), minlength=256)
            for channel in range(split.images.shape[-1])
        ]
    )
    weights = counts / counts.sum(axis=1, keepdims=True)
    mean = weights @ np.arange(256)
    variance = weights @ np.square(np.arange(256)) - np.square(mean)
    # A constant channel carries nothing; one grey level keeps it finite.
    return mean, np.sqrt(np.maximum(variance, 1))


def unit_scaling(channels: int, dtype: np.dtype | str = "float32") -> Scaling:
    """The scaling of 0 to 255 to 0 to 1, under which black is what zero padding is."""
    return Scaling(jnp.zeros(channels, dtype), jnp.full(channels, 255, dtype))


def resident(split: Split, scaling: Scaling) -> Resident:
    """`split` on the default device."""
    return Resident(jnp.asarray(split.images), jnp.asarray(split.labels), scaling)


def validation_split(
    examples: int, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The indices (for training, for validation) of a random split, by seed."""
    order = np.asarray(_validation_order(examples, seed))
    held_out = round(examples * fraction)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


@functools.partial(jax.jit, static_argnames="examples")
def _validation_order(examples, seed):
    return jax.random.permutation(key_for(seed, "validation"), examples)


@functools.partial(jax.jit, static_argnames="batch_size")
def epoch_order(
    index: Int[Array, " examples"],
    seed: int | Array,
    epoch: int | Array,
    *,
    batch_size: int,
) -> Int[Array, "steps batch"]:
    """The batches of one epoch: `index` shuffled by (seed, epoch), the rest dropped.

    Raises:
        ValueError: there are fewer examples than one batch takes.
    """
    steps = len(index) // batch_size
    if not steps:
        raise ValueError(f"batch_size {batch_size} exceeds the {len(index)} examples")
    shuffled = jax.random.permutation(key_for(seed, "order", epoch), index)
    return shuffled[: steps * batch_size].reshape(steps, batch_size)
