"""The words of a comparison: an arm, how it is trained, what came of it."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.data import Dataset


@dataclasses.dataclass(frozen=True)
class Arm:
    """One side of a comparison: a model, and the spec that tells it from the others."""

    spec: str
    model: nn.Module


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How each arm is trained."""

    seeds: int
    rate_seeds: int
    epochs: int
    batch_size: int
    learning_rates: tuple[float, ...]
    validation_fraction: float

    def training_examples(self, dataset: Dataset) -> int:
        """How many examples remain once those for validation are held out."""
        examples = len(dataset.train.labels)
        return examples - round(examples * self.validation_fraction)

    def total_steps(self, dataset: Dataset) -> int:
        """The steps of one training run."""
        return self.epochs * (self.training_examples(dataset) // self.batch_size)

    @property
    def tries_rates(self) -> bool:
        """Whether there is a rate to choose."""
        return len(self.learning_rates) > 1

    @property
    def runs_per_arm(self) -> int:
        """How many training runs an arm takes; its best rate's count once."""
        if not self.tries_rates:
            return self.seeds
        return len(self.learning_rates) * self.rate_seeds + self.seeds - self.rate_seeds


@dataclasses.dataclass(frozen=True)
class Rate:
    """A learning rate, and the validation accuracy of each seed it was tried on.

    An accuracy of None is that of a run whose loss was not finite.
    """

    learning_rate: float
    accuracies: tuple[float | None, ...]

    @property
    def mean(self) -> float | None:
        """The mean accuracy; None where nothing was tried, or a run failed."""
        if not self.accuracies or None in self.accuracies:
            return None
        return float(np.mean(self.accuracies))


@dataclasses.dataclass(frozen=True)
class Trained:
    """An arm at the rate that validation chose, trained with every seed.

    `runs` are the records of its seeds; `seconds` covers the rates not taken too.
    """

    arm: Arm
    learning_rate: float
    rates: tuple[Rate, ...]
    runs: tuple[dict[str, Any], ...]
    seconds: float


def parameters(arm: Arm, image_shape: tuple[int, int, int]) -> int:
    """The number of trained parameters."""
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    shapes = jax.eval_shape(arm.model.init, jax.random.key(0), images)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
