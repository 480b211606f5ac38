"""One pass over the training set, in compiled calls of at most about a second."""

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import optax
from jax import Array, lax
from jaxtyping import Int

from cnnlab.training import devices
from cnnlab.training.resident import Resident, epoch_order
from cnnlab.training.state import Totals, TrainState
from cnnlab.training.step import train_step

# Progress is read, and Ctrl-C and a loss that is not finite are seen, this often.
SECONDS_PER_CALL = 0.25


class Diverged(ArithmeticError):
    """The loss of step number `step`, counted from 1, is not finite."""

    def __init__(self, step: int):
        super().__init__(f"the loss is not finite at step {step}")
        self.step = step


class Epoch(NamedTuple):
    """What one pass measured: means over its examples, before each step's update."""

    loss: float
    accuracy: float
    steps: int
    seconds: float
    step_seconds: list[float]


def train_epoch(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    data: Resident,
    index: Int[Array, " examples"],
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    on_progress: Callable[[int, float], None] = lambda steps, loss: None,
    many_steps: bool | None = None,
) -> tuple[TrainState, Epoch]:
    """The state after one pass over `index`, whose buffers `state` gives up.

    Args:
        epoch: its number, which with the seed decides the order of the batches.
        on_progress: called with (steps just done, mean loss over them).
        many_steps: whether steps run in one compiled loop; None leaves it to the
            device.

    Raises:
        Diverged: the loss is not finite.
    """
    if many_steps is None:
        many_steps = devices.loops_are_fast(devices.platform())
    run = _looped if many_steps else _one_by_one
    order = epoch_order(index, seed, epoch, batch_size=batch_size)
    steps, count, done = len(order), 1, 0
    totals, paces, seen = Totals.none(), [], (0.0, 0)
    began = time.perf_counter()
    while done < steps:
        count = min(count, steps - done)
        started = time.perf_counter()
        state, totals = run(model, optimizer, state, totals, data, order, done, count)
        loss, correct, examples, diverged_at = (x.item() for x in totals)
        pace = (time.perf_counter() - started) / count
        done += count
        if diverged_at:
            raise Diverged(diverged_at)
        on_progress(count, (loss - seen[0]) / (examples - seen[1]))
        seen = loss, examples
        paces.append(pace)
        count = max(1, min(2 * count, round(SECONDS_PER_CALL / pace)))
    seconds = time.perf_counter() - began
    return state, Epoch(loss / examples, correct / examples, steps, seconds, paces)


def _one_by_one(model, optimizer, state, totals, data, order, first, count):
    for step in range(first, first + count):
        state, totals = _step(model, optimizer, state, totals, data, order, step)
    return state, totals


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def _step(model, optimizer, state, totals, data, order, step):
    state, more = train_step(model, optimizer, state, *data.batch(order[step]))
    return state, totals.plus(more)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def _looped(model, optimizer, state, totals, data, order, first, count):
    def body(step, carry):
        state, totals = carry
        state, more = train_step(model, optimizer, state, *data.batch(order[step]))
        return state, totals.plus(more)

    return lax.fori_loop(first, first + count, body, (state, totals))
