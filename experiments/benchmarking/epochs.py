"""An epoch of a training run over its bare steps: what the loop around them costs."""

import functools
import time
from collections.abc import Iterator

import jax

from cnnlab import training
from experiments.benchmarking import runs
from experiments.benchmarking.timing import Contender, Row
from experiments.training.job import Job


def rows(batch_size: int) -> Iterator[Row]:
    """A run's epoch, checkpoints left out, and as many steps and nothing else."""
    for name, job in runs.settings(batch_size):
        yield (
            name,
            {
                "ours": functools.partial(runs.contender, job, checkpoints=False),
                "bare steps": functools.partial(_bare, job, runs.EPOCHS),
            },
        )


def _bare(job: Job, epochs: int) -> Contender:
    """The steps of an epoch, all on one batch that is ready.

    Args:
        epochs: whose steps a turn makes, as many as one of the run's.
    """
    step = jax.jit(training.train_step, static_argnums=(0, 1, 5), donate_argnums=2)
    task, (order,), (state,) = job.task, job.orders(0), job.start()
    batch = jax.jit(job.data().batch)(order[0])
    held = [state]

    def run(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count * epochs * job.steps_per_epoch):
            held[0], totals = step(
                task.model, task.optimizer, held[0], *batch, task.method
            )
        jax.block_until_ready((held[0], totals))
        return (time.perf_counter() - began) / epochs

    return Contender(run)
