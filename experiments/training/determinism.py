"""What keeps a run's bits from repeating, where XLA is free to choose its order."""

import functools
import operator
from collections import Counter
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab import training
from cnnlab.diagnostics.program import trace
from cnnlab.training.state import Totals
from experiments.harness import numerics
from experiments.training.job import Job

# A GPU adds up what meets in one entry as it comes, and cuDNN's gradients of
# convolutions may split their sums.
UNORDERED = {
    "scatter-add": "a scatter that adds",
    "scatter-mul": "a scatter that multiplies",
    "select_and_scatter_add": "a gradient of stock max pooling",
    "convolution": "a gradient of a convolution",
    "conv_general_dilated": "a stock convolution",
}


def unordered_operations(*jobs: Job) -> dict[str, int]:
    """How many of each of `UNORDERED` a training step has, read from its program.

    Of several jobs, the most that a step of any has; those of one task have the same.
    """
    of_tasks = {job.task: job for job in jobs}.values()
    found = functools.reduce(operator.or_, map(_of_step, of_tasks), Counter())
    return {name: found[name] for name in UNORDERED if found[name]}


def _of_step(job: Job) -> Counter:
    # Shapes alone: the images may fill the device as it is.
    state = jax.eval_shape(lambda: job.start()[0])
    totals = jax.eval_shape(Totals.none)
    channel = jax.ShapeDtypeStruct(job.dataset.image_shape[-1:], job.wide)
    data = training.Resident(
        _shape(job.dataset.train.images),
        _shape(job.dataset.train.labels),
        training.Scaling(channel, channel),
    )
    batches = job.steps_per_epoch, job.recipe.batch_size
    order = jax.ShapeDtypeStruct(batches, jnp.int32)
    at = jax.ShapeDtypeStruct((), jnp.int32)
    program = trace(job.task.step, state, totals, data, order, at)
    return Counter(step.operation.name for step in program.steps())


def _shape(array: np.ndarray) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def note(found: dict[str, int], environment: Mapping[str, Any]) -> list[str]:
    """What a report says of it; nothing but on a GPU: all others keep one order."""
    if environment["platform"] != "gpu" or not found:
        return []
    listed = ", ".join(f"{count} x {UNORDERED[name]}" for name, count in found.items())
    flag = f"--{numerics.ONE_ORDER}=true"
    if environment[numerics.ONE_ORDER]:
        return [
            f"XLA was told to keep one order ({flag}). Without it these operations of "
            f"a step may give other bits in every run: {listed}."
        ]
    told = f"XLA was not told to keep one order ({flag})"
    if environment[numerics.ONE_ORDER] is None:
        told = f"Whether XLA was told to keep one order ({flag}) is not known"
    return [
        *(f"{line}." for line in numerics.advice(environment)),
        f"{told}, and these operations of a step may give other bits in every run: "
        f"{listed}.",
    ]
