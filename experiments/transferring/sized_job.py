"""A job of which each seed draws its images, and that may begin from a backbone."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab import training
from cnnlab.training.state import TrainState
from cnnlab.training.transfer import begin_with, replace_head
from experiments.training.job import Job


@dataclasses.dataclass(frozen=True, kw_only=True)
class SizedJob(Job):
    """A job on some of the training images, from a trained backbone or from nothing.

    Attributes:
        images: how many each seed draws, validation included. Those of a smaller
            number are among them, and jobs of one seed and number draw the same.
        passes: over them that make an epoch, so that an epoch of few images is not
            over after a step.
        scale: how images reach the net; None is as in every job.
        backbone: the variables of a trained net; None begins at random.
        head: paths of the parameters that begin at random all the same.
    """

    images: int
    passes: int
    scale: training.Scaling | None = None
    backbone: Mapping[str, Any] | None = None
    head: frozenset[str] = frozenset()

    def scaling(self) -> training.Scaling:
        return super().scaling() if self.scale is None else self.scale

    def split(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        examples = len(self.dataset.train.labels)
        # What a split of that share would hold out are as many images at random.
        _, drawn = training.validation_split(examples, self.images / examples, seed)
        parts = training.validation_split(
            self.images, self.recipe.validation_fraction, seed
        )
        return drawn[parts[0]], drawn[parts[1]]

    @property
    def steps_per_epoch(self) -> int:
        return self.passes * steps_per_pass(self.recipe, self.images)

    def start(self) -> list[TrainState]:
        begun = super().start()
        if self.backbone is None:
            return begun
        return [
            begin_with(
                state,
                replace_head(self.backbone, state.variables, self.head),
                self.task.optimizer,
            )
            for state in begun
        ]

    def orders(self, epoch: int) -> list[jax.Array]:
        passes = epoch * self.passes + jnp.arange(self.passes)
        return [
            _orders(
                jnp.asarray(self.split(seed)[0]), seed, passes, self.recipe.batch_size
            )
            for seed in self.seeds
        ]


@functools.partial(jax.jit, static_argnums=3)
def _orders(index, seed, passes, batch_size):
    """The batches of several passes, one after the other."""

    def order(one):
        return training.epoch_order(index, seed, one, batch_size=batch_size)

    return jax.vmap(order)(passes).reshape(-1, batch_size)


def images_to_train_on(recipe: training.Recipe, images: int) -> int:
    """Of so many, those that are not held out."""
    return images - round(images * recipe.validation_fraction)


def steps_per_pass(recipe: training.Recipe, images: int) -> int:
    """The whole batches of so many images, less those held out."""
    return images_to_train_on(recipe, images) // recipe.batch_size
