"""A job of an arm at one of several peak rates, which share their compiled steps."""

import dataclasses
from typing import Any

from cnnlab import training
from cnnlab.training.engines import Engine
from cnnlab.training.state import TrainState
from experiments.training.job import Job


@dataclasses.dataclass(frozen=True, kw_only=True)
class RatedJob(Job):
    """A job whose peak rate is its recipe's, whatever the optimizer was made with.

    Attributes:
        images: those of training, on the device, which all jobs share.
    """

    images: training.Resident

    def labels(self) -> dict[str, Any]:
        return {"arm": self.arm, "peak_rate": self.recipe.learning_rate}

    def scaling(self) -> training.Scaling:
        return self.images.scaling

    def data(self) -> training.Resident:
        return self.images

    def start(self) -> list[TrainState]:
        rate = self.recipe.learning_rate
        return [training.with_learning_rate(state, rate) for state in super().start()]


@dataclasses.dataclass(frozen=True)
class OnceCompiled(Engine):
    """An engine that keeps the programs of a task, for jobs of as many seeds."""

    programs: dict[int, Any] = dataclasses.field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, engine: Engine) -> "OnceCompiled":
        return cls(engine.name, engine.task, engine.many_steps)

    def compile(self, states, totals, data, orders):
        # A loop's program is that of one seed.
        seeds = 1 if self.name == "loop" else len(orders)
        if seeds not in self.programs:
            self.programs[seeds] = super().compile(states, totals, data, orders)
        return self.programs[seeds]
