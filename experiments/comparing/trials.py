"""What came of the learning rates that an arm tried, and of the one it took."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnlab.errors import UserError
from experiments.comparing.plan import PlannedArm


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

    planned: PlannedArm
    learning_rate: float
    rates: tuple[Rate, ...]
    runs: tuple[dict[str, Any], ...]
    seconds: float

    @property
    def name(self) -> str:
        """The arm's."""
        return self.planned.arm.name


def best(planned: PlannedArm, rates: Sequence[Rate]) -> float:
    """The rate of the highest mean validation accuracy, the first of equal ones.

    Raises:
        UserError: there is none, as every run failed.
    """
    if not planned.tries_rates:
        return rates[0].learning_rate
    finite = [rate for rate in rates if rate.mean is not None]
    if not finite:
        raise UserError(
            "learning_rates",
            f"the loss of {planned.arm.name} is not finite at any of "
            f"{', '.join(map(str, planned.rates))}; give smaller ones",
        )
    return max(finite, key=lambda rate: rate.mean).learning_rate
