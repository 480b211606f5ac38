"""What a comparison is made of, once everything has been checked that can be."""

import dataclasses

from cnnlab.data import Dataset
from cnnlab.errors import UserError
from experiments.comparing.arm import Arm
from experiments.comparing.comparison_flags import ComparisonFlags, blamed
from experiments.harness.recipe_flags import chosen_recipe
from experiments.training import plan as training_plan
from experiments.training.plan import Plan


@dataclasses.dataclass(frozen=True)
class PlannedArm:
    """An arm, and how it is trained.

    Attributes:
        model: its spec.
        plan: of all seeds, at the recipe's own rate.
        rates: peak rates to choose from.
        rate_seeds: how many seeds, the first, each is tried on.
    """

    arm: Arm
    model: str
    plan: Plan
    rates: tuple[float, ...]
    rate_seeds: int

    @property
    def tries_rates(self) -> bool:
        """Whether there is a rate to choose."""
        return len(self.rates) > 1

    @property
    def tried_seeds(self) -> tuple[int, ...]:
        """Those that each rate is tried on; none where there is no choice."""
        return self.plan.job.seeds[: self.rate_seeds] if self.tries_rates else ()

    @property
    def last_seeds(self) -> tuple[int, ...]:
        """Those that only the chosen rate is trained with."""
        return self.plan.job.seeds[len(self.tried_seeds) :]

    @property
    def steps(self) -> int:
        """Of all its training runs; those at its best rate count once."""
        tried, all_seeds = len(self.tried_seeds), len(self.plan.job.seeds)
        return self.plan.job.steps * ((len(self.rates) - 1) * tried + all_seeds)


def plans(config: ComparisonFlags, dataset: Dataset) -> list[PlannedArm]:
    """The arms of a configuration, planned.

    Raises:
        UserError: an arm that cannot take these images, or too few of them.
    """
    config.validate_images(dataset.image_shape)
    return [_planned(config, arm, dataset) for arm in config.arms()]


def _planned(config: ComparisonFlags, arm: Arm, dataset: Dataset) -> PlannedArm:
    own = arm.configured(config)
    recipe, rates = chosen_recipe(own), config.rates_of(arm)
    examples = len(dataset.train.labels)
    if len(rates) > 1 and not round(examples * recipe.validation_fraction):
        raise UserError(
            "validation_fraction",
            f"{recipe.validation_fraction} of {examples:,} images is none; nothing is "
            "left to choose the learning rate on",
        )
    try:
        planned = training_plan.plan(own, recipe, dataset)
    except UserError as error:
        raise blamed(error, arm) from error
    job = dataclasses.replace(planned.job, arm=arm.name)
    return PlannedArm(
        arm,
        own.model,
        dataclasses.replace(planned, job=job),
        rates,
        config.rate_seeds,
    )
