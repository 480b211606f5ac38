"""Scores of a trained model."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import NamedSharding
from jaxtyping import Float, Int, UInt8

from cnnlab.training.engines import batches
from cnnlab.training.objective import losses
from cnnlab.training.resident import Scaling

Images = UInt8[np.ndarray, "examples height width channels"]
Logits = Float[np.ndarray, "examples classes"]


# As many small images as keep a CPU busy, and of larger ones no more pixels than that:
# a net's maps grow with them.
_MOST_IMAGES = 500
_MOST_PIXELS = _MOST_IMAGES * 64 * 64


def images_at_once(image_shape: Sequence[int]) -> int:
    """How many images of this height, width and channels are scored together.

    500 of up to 64x64 pixels, fewer of larger ones: 40 of 224x224. It depends on
    nothing else, so that a net's logits are the same bits wherever it is scored.
    """
    pixels = math.prod(image_shape[:2])
    return max(1, min(_MOST_IMAGES, _MOST_PIXELS // pixels))


class Score(NamedTuple):
    """The mean loss, and the share of examples that are right."""

    loss: float
    accuracy: float


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
    """The function from uint8 images to float32 logits, in evaluation mode.

    It takes any number of images and works in batches of `batch_size`, by default
    `images_at_once`. Logits depend on it by rounding alone.

    Where `scaling` lies on a mesh of devices, they share every batch evenly along the
    mesh's first axis; logits depend on their number by rounding alone too.
    """

    model: nn.Module
    variables: Any
    scaling: Scaling
    batch_size: int | None = None

    def __call__(self, images: Images) -> Logits:
        size = self.batch_size or images_at_once(images.shape[1:])
        sharing = _sharing(self.scaling)
        places = size if sharing is None else size + -size % sharing.num_devices
        logits = []
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            # One compiled shape for all: a batch that is short is filled up and cut.
            missing = places - len(batch)
            full = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0)))
            if sharing is not None:
                full = jax.device_put(full, sharing)
            scores = _predict(self.model, self.variables, self.scaling, full)
            logits.append(np.asarray(scores)[: len(batch)])
        return np.concatenate(logits)

    def apply(self, variables: Any, images: Array) -> Array:
        """The logits as a function that JAX can trace, of one batch."""
        return _logits(self.model, variables, self.scaling, images)


def predictor(
    model: nn.Module,
    variables: Any,
    scaling: Scaling,
    *,
    batch_size: int | None = None,
) -> Predictor:
    """The `Predictor` of a net, which knows what it is made of."""
    return Predictor(model, variables, scaling, batch_size)


def score(
    logits: Logits,
    labels: Int[np.ndarray, " examples"],
    *,
    loss: str = "cross_entropy",
) -> Score:
    """Loss and accuracy of `logits`.

    Args:
        loss: one of `objective.LOSSES`; cross-entropy is in nats.
    """
    found = np.asarray(_losses(logits, labels, loss))
    return Score(float(found.mean()), float(np.mean(logits.argmax(-1) == labels)))


def evaluate(
    model: nn.Module,
    variables: Any,
    scaling: Scaling,
    images: Images,
    labels: Int[np.ndarray, " examples"],
    *,
    loss: str = "cross_entropy",
) -> tuple[Score, Logits]:
    """The model's score on the images, as `score` has it, and its logits."""
    logits = predictor(model, variables, scaling)(images)
    return score(logits, labels, loss=loss), logits


def _sharing(scaling: Scaling | None) -> NamedSharding | None:
    """How the devices that `scaling` lies on share a batch; None where it is one."""
    placed = getattr(scaling and scaling.mean, "sharding", None)
    if not isinstance(placed, NamedSharding) or placed.mesh.size == 1:
        return None
    return batches(placed.mesh)


# Compiled as one, as each operation by itself takes about as long to compile.
@functools.partial(jax.jit, static_argnums=2)
def _losses(logits, labels, loss):
    return losses(logits, labels, loss=loss)


def _logits(model, variables, scaling, images):
    return model.apply(variables, scaling(images), train=False).astype(jnp.float32)


_predict = jax.jit(_logits, static_argnums=0)
