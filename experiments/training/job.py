"""What a training run trains, on what."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab import training
from cnnlab.data import Dataset
from cnnlab.training.engines import Task
from cnnlab.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Job:
    """What is trained on what: all that a run's numbers depend on, but for rounding.

    Attributes:
        arm: the net's name among a run's.
        dtype: float32, bfloat16 or float64.
        pixels: "standard" or "unit": see `scaling_of` and `unit_scaling`.
    """

    arm: str
    task: Task
    recipe: training.Recipe
    dataset: Dataset
    seeds: tuple[int, ...]
    dtype: str = "float32"
    pixels: str = "standard"

    def labels(self) -> dict[str, Any]:
        """What its lines of metrics.jsonl carry, beside their seed."""
        return {"arm": self.arm}

    def owns(self, line: Mapping[str, Any]) -> bool:
        """Whether a line of metrics.jsonl is of this job."""
        labelled = all(line.get(k) == v for k, v in self.labels().items())
        return labelled and line["seed"] in self.seeds

    @property
    def wide(self) -> str:
        """The dtype of parameters and sums."""
        return "float64" if self.dtype == "float64" else "float32"

    def scaling(self) -> training.Scaling:
        """How images reach the net."""
        if self.pixels == "unit":
            return training.unit_scaling(self.dataset.image_shape[-1], self.wide)
        return training.scaling_of(self.dataset.train, self.wide)

    def split(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The images that a seed trains on, and those it validates on."""
        examples = len(self.dataset.train.labels)
        return training.validation_split(
            examples, self.recipe.validation_fraction, seed
        )

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of the images that are trained on."""
        examples = len(self.dataset.train.labels)
        held_out = round(examples * self.recipe.validation_fraction)
        return (examples - held_out) // self.recipe.batch_size

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.recipe.total_steps(self.steps_per_epoch)

    @property
    def epochs(self) -> int:
        """Those begun in the whole run."""
        return self.epoch(self.steps)

    def epoch(self, step: int) -> int:
        """The number of the epoch, from 1, that step number `step`, from 1, is in."""
        return -(-step // self.steps_per_epoch)

    def ends_epoch(self, step: int) -> bool:
        """Whether nothing of an epoch remains after so many steps."""
        return step % self.steps_per_epoch == 0 or step == self.steps

    def start(self) -> list[TrainState]:
        """The states at step 0."""
        return [
            training.init(
                self.task.model,
                self.task.optimizer,
                seed,
                self.dataset.image_shape,
                dtype=self.wide,
                averaged=bool(self.recipe.ema_decay),
            )
            for seed in self.seeds
        ]

    def data(self) -> training.Resident:
        """The training images, on the device."""
        return training.resident(self.dataset.train, self.scaling())

    def orders(self, epoch: int) -> list[jax.Array]:
        """Each seed's batches of an epoch, counted from 0."""
        return [
            training.epoch_order(
                jnp.asarray(self.split(seed)[0]),
                seed,
                epoch,
                batch_size=self.recipe.batch_size,
            )
            for seed in self.seeds
        ]
