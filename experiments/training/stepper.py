"""A run's states on the device, in the hands of an engine."""

import time
from collections.abc import Sequence

import jax
import numpy as np

from cnnlab.training.engines import Engine
from cnnlab.training.state import Totals, TrainState
from experiments.training.job import Job
from experiments.training.run_checkpoints import Position


class Stepper:
    """Makes steps of all seeds of a job.

    Attributes:
        data: the training images, where the steps need them.
        compile_seconds: what compiling a step took.
        epoch_seconds: of the steps since the beginning of the epoch.
    """

    def __init__(self, job: Job, engine: Engine, position: Position):
        self._job = job
        self._engine = engine
        self.data = engine.place(job.data(), len(job.seeds))
        self._states = engine.pack(position.states)
        self._totals = engine.pack(position.totals)
        self.epoch_seconds = position.facts.get("epoch_seconds", 0.0)
        if position.lined:
            self.clear()
        self._epoch: int | None = None
        self._order_of(min(position.step, job.steps - 1) // job.steps_per_epoch)
        began = time.perf_counter()
        self._program = engine.compile(
            self._states, self._totals, self.data, self._orders
        )
        self.compile_seconds = time.perf_counter() - began

    def advance(self, step: int, count: int) -> float:
        """The seconds that each of `count` steps from `step`, in its epoch, took."""
        epoch, first = divmod(step, self._job.steps_per_epoch)
        self._order_of(epoch)
        began = time.perf_counter()
        self._states, self._totals = self._program(
            self._states, self._totals, self.data, self._orders, first, count
        )
        jax.block_until_ready(self._totals)
        seconds = time.perf_counter() - began
        self.epoch_seconds += seconds
        return seconds / count

    def states(self) -> list[TrainState]:
        """Those of all seeds, on the host."""
        return self._engine.unpack(self._states)

    def totals(self) -> list[Totals]:
        """The sums over the epoch so far of all seeds, on the host."""
        return self._engine.unpack(self._totals)

    def clear(self) -> None:
        """Begins an epoch, of which nothing has been summed."""
        self._totals = self._engine.pack([Totals.none() for _ in self._job.seeds])
        self.epoch_seconds = 0.0

    def _order_of(self, epoch: int) -> None:
        if epoch != self._epoch:
            self._orders = self._engine.pack(self._job.orders(epoch))
            self._epoch = epoch


def mean_loss(totals: Sequence[Totals], since: Sequence[Totals]) -> float:
    """Over all seeds, of the examples that were summed `since`."""
    now, before = (
        np.sum([(each.loss, each.examples) for each in sums], axis=0, dtype=np.float64)
        for sums in (totals, since)
    )
    loss, examples = now - before
    return float(loss / examples)
