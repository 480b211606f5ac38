"""What keeps a run's bits from repeating, where XLA is free to choose its order."""

from collections import Counter

import jax
import jax.numpy as jnp

from cnnlab.diagnostics.program import trace
from cnnlab.training.state import Totals
from experiments.training_run import Job

# A GPU adds up what meets in one entry as it comes, and cuDNN's gradients of
# convolutions may split their sums.
UNORDERED = {
    "scatter-add": "a scatter that adds",
    "scatter-mul": "a scatter that multiplies",
    "select_and_scatter_add": "a gradient of stock max pooling",
    "convolution": "a gradient of a convolution",
    "conv_general_dilated": "a stock convolution",
}


def unordered_operations(job: Job) -> dict[str, int]:
    """How many of each of `UNORDERED` a training step has, read from its program."""
    data, order = job.data(), job.orders(0)[0]
    state = jax.eval_shape(lambda: job.start()[0])
    program = trace(job.task.step, state, Totals.none(), data, order, jnp.int32(0))
    found = Counter(step.operation.name for step in program.steps())
    return {name: found[name] for name in UNORDERED if found[name]}


def note(found: dict[str, int], platform: str) -> list[str]:
    """What a report says of it; nothing on a CPU, which keeps one order."""
    if platform == "cpu" or not found:
        return []
    listed = ", ".join(f"{count} x {UNORDERED[name]}" for name, count in found.items())
    return [
        "XLA was told to keep one order (--xla_gpu_deterministic_ops=true). Without it "
        f"these operations of a step would give other bits in every run: {listed}."
    ]
