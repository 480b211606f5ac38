"""Steps of several seeds by any engine, and of one seed without engines."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tiny

from cnnlab.data.augmentation import resolve_augmentation
from cnnlab.training import (
    Method,
    Recipe,
    init,
    optimizer_of,
    resident,
    scaling_of,
    train_step,
)
from cnnlab.training.engines import Task
from cnnlab.training.state import Totals

SEEDS = 3
STEPS = 50
BATCH_SIZE = 8

# All at once that makes seeds differ, and by which one could disturb another.
MODEL = tiny.Net("stochastic_pool", normalised=True, dropout=0.3)
AUGMENT = resolve_augmentation(("pad_and_crop(padding=1)", "random_flip"))
RECIPE = Recipe(
    steps=STEPS,
    batch_size=BATCH_SIZE,
    learning_rate=0.05,
    schedule="cosine(warmup=0.2)",
    weight_decay=1e-3,
    clip=1.0,
)
LONG = Task(
    MODEL,
    optimizer_of(RECIPE, STEPS),
    Method(label_smoothing=0.1, ema_decay=0.9),
    AUGMENT,
)
# One step of it takes the gradient off the parameters.
ONE_STEP = Task(MODEL, optax.sgd(1.0), Method(), AUGMENT)


def start(task, seed, dtype):
    """The state of a seed at step 0."""
    return init(
        task.model,
        task.optimizer,
        seed,
        tiny.IMAGE_SHAPE,
        dtype=dtype,
        averaged=bool(task.method.ema_decay),
    )


def data(dtype):
    """The set on the device."""
    return resident(tiny.split(), scaling_of(tiny.split(), dtype))


def order(seed):
    """The batches of a seed."""
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.integers(0, tiny.EXAMPLES, (STEPS, BATCH_SIZE)), jnp.int32)


def together(engine, steps, dtype, seeds=SEEDS):
    """Each seed's state and totals after so many steps, in two calls."""
    states = engine.pack([start(engine.task, seed, dtype) for seed in range(seeds)])
    totals = engine.pack([Totals.none() for _ in range(seeds)])
    orders = engine.pack([order(seed) for seed in range(seeds)])
    placed = engine.place(data(dtype), seeds)
    program = engine.compile(states, totals, placed, orders)
    for first, count in ((0, steps // 3), (steps // 3, steps - steps // 3)):
        states, totals = program(states, totals, placed, orders, first, count)
    return engine.unpack(states), engine.unpack(totals)


@functools.cache
def alone(task, seed, steps, dtype):
    """A seed's state and totals after so many steps, by `train_step` alone."""
    state, totals = start(task, seed, dtype), Totals.none()
    for index in order(seed)[:steps]:
        state, totals = _step(task, state, totals, data(dtype), index)
    return jax.device_get((state, totals))


@functools.partial(jax.jit, static_argnums=0)
def _step(task, state, totals, data, index):
    key = state.seed, state.step
    images, labels = data.batch(index, augment=task.augment, key=key)
    state, more = train_step(
        task.model, task.optimizer, state, images, labels, task.method
    )
    return state, totals.plus(more)


def assert_same_state(got, wanted, tolerance=1e-8):
    """Every array to `tolerance` of its largest entry, and in the same precision."""
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for ours, theirs in zip(*map(jax.tree.leaves, (got, wanted)), strict=True):
        assert ours.dtype == theirs.dtype
        # A bias before a normalisation is nothing but rounding.
        largest = max(np.abs(theirs).max(), 1e-6)
        assert np.abs(ours - theirs).max() <= tolerance * largest


def gradient(task, seed, state):
    """What the first step took off the parameters, as one vector."""
    before = start(task, seed, "float32").params
    taken = jax.tree.map(lambda old, new: np.ravel(old - new), before, state.params)
    return np.concatenate(jax.tree.leaves(taken))


def assert_same_first_step(got, wanted, seed):
    """The loss to 1e-6, the gradient to 1e-5 of its norm, and the statistics."""
    (state, totals), (lone, lone_totals) = got, wanted
    np.testing.assert_allclose(totals.loss, lone_totals.loss, rtol=1e-6)
    ours, theirs = (gradient(ONE_STEP, seed, each) for each in (state, lone))
    assert np.linalg.norm(ours - theirs) <= 1e-5 * np.linalg.norm(theirs)
    assert np.linalg.norm(theirs) > 0.01
    assert_same_state(state.batch_stats, lone.batch_stats, 1e-5)
