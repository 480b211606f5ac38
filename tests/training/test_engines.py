"""Every engine gives each seed what it gets alone."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import many_seeds
import numpy as np
import optax
import pytest
import tiny
from jax.sharding import PartitionSpec as P
from many_seeds import LONG, ONE_STEP, SEEDS, STEPS

from cnnlab.data import Split
from cnnlab.data.augmentation import augmentations
from cnnlab.training import Method, Totals, devices, resident, scaling_of, train_step
from cnnlab.training.engines import (
    ENGINES,
    Engine,
    Task,
    candidates,
    data_mesh,
    seed_mesh,
)


def quick(*names):
    """All engines, and by default those of these names."""
    return [
        pytest.param(name, marks=[] if name in names else pytest.mark.slow)
        for name in ENGINES
    ]


@pytest.mark.parametrize("name", quick("vmap"))
def test_in_float64_each_seed_gets_what_it_gets_alone(name):
    with jax.enable_x64(True):
        states, totals = many_seeds.together(
            Engine(name, LONG, many_steps=False), STEPS, "float64"
        )
        for seed in range(SEEDS):
            wanted, sums = many_seeds.alone(LONG, seed, STEPS, "float64")
            many_seeds.assert_same_state(states[seed], wanted)
            assert states[seed].step == STEPS
            np.testing.assert_allclose(totals[seed].loss, sums.loss, rtol=1e-5)
            assert totals[seed].correct == sums.correct
    floating = [
        leaf
        for leaf in jax.tree.leaves(states)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    assert {leaf.dtype for leaf in floating} == {np.dtype("float64")}
    # Seeds see other images, and so have other statistics.
    means = [np.concatenate(jax.tree.leaves(s.batch_stats)) for s in states]
    assert all(np.abs(means[0] - mean).max() > 1e-3 for mean in means[1:])


@pytest.mark.parametrize("name", quick())
def test_in_float32_the_first_step_is_the_one_taken_alone(name):
    each = zip(
        *many_seeds.together(Engine(name, ONE_STEP, many_steps=True), 1, "float32"),
        strict=True,
    )
    for seed, got in enumerate(each):
        wanted = many_seeds.alone(ONE_STEP, seed, 1, "float32")
        many_seeds.assert_same_first_step(got, wanted, seed)


def white_is_not_a_number(key, image):
    return jnp.where(image.min() == 1, jnp.nan, image)


@pytest.mark.parametrize("many_steps", [False, True], ids=["single", "looped"])
@pytest.mark.parametrize("name", quick("vmap", "devices"))
def test_each_seed_tells_the_first_step_whose_loss_is_not_finite(name, many_steps):
    task = Task(tiny.SoftmaxRegression(), optax.sgd(0.1), augment=white_is_not_a_number)
    engine = Engine(name, task, many_steps)
    images = tiny.split().images.copy()
    images[0] = 255
    split = Split(images, tiny.split().labels)
    # Seed 0 meets the white image in step 5, counted from 1, seed 1 in 2, seed 2 never.
    orders = [np.ones((6, 2), np.int32) for _ in range(SEEDS)]
    orders[0][4, 1] = orders[1][1, 0] = 0
    packed = engine.pack([many_seeds.start(task, s, "float32") for s in range(SEEDS)])
    totals = engine.pack([Totals.none() for _ in range(SEEDS)])
    orders = engine.pack([jnp.asarray(order) for order in orders])
    data = engine.place(resident(split, scaling_of(split)), SEEDS)
    program = engine.compile(packed, totals, data, orders)
    packed, totals = program(packed, totals, data, orders, 0, 3)
    assert [t.diverged_at for t in engine.unpack(totals)] == [0, 2, 0]
    packed, totals = program(packed, totals, data, orders, 3, 3)
    assert [t.diverged_at for t in engine.unpack(totals)] == [5, 2, 0]


def test_a_loss_of_sown_scores_that_is_not_finite_is_told_at_its_step():
    class Sows(nn.Module):
        @nn.compact
        def __call__(self, x, *, train=False):
            scores = nn.Dense(tiny.CLASSES)(x.reshape(x.shape[0], -1))
            if train:
                self.sow("auxiliary", "scores", scores * jnp.nan)
            return scores

    task = Task(Sows(), optax.sgd(0.1))
    state = many_seeds.start(task, 0, "float32")
    batch = jnp.ones((2, *tiny.IMAGE_SHAPE)), jnp.ones(2, int)
    step = jax.jit(train_step, static_argnums=(0, 1))
    _, totals = step(task.model, task.optimizer, state, *batch)
    assert totals.diverged_at == 1
    assert jnp.isfinite(totals.loss)


@pytest.mark.slow
def test_seeds_on_devices_accumulate_as_each_does_alone():
    method = Method(accumulate=2, ema_decay=0.9)
    task = Task(tiny.SoftmaxRegression(), optax.sgd(0.1), method)
    engine = Engine("devices", task, many_steps=True)
    states, _ = many_seeds.together(engine, 3, "float32", seeds=2)
    for seed, state in enumerate(states):
        wanted, _ = many_seeds.alone(task, seed, 3, "float32")
        many_seeds.assert_same_state(state, wanted, 1e-5)


def on_devices(function, *arrays):
    """The shapes that a function of a seed and of what all seeds share gives one."""

    def each(seeds, *arrays):
        made = function(seeds[0], *arrays)
        return jax.tree.map(lambda leaf: leaf[None], made)

    specs = P("seed"), *(P() for _ in arrays)
    mapped = jax.shard_map(each, mesh=seed_mesh(1), in_specs=specs, out_specs=P("seed"))
    # What varies by seed is checked in tracing.
    shapes = jax.eval_shape(mapped, jnp.arange(1), *arrays)
    return jax.tree.map(lambda leaf: leaf.shape[1:], shapes)


@pytest.mark.parametrize("name", augmentations)
def test_seeds_on_devices_can_have_every_augmentation(name):
    def augmented(seed, image):
        return augmentations[name](jax.random.key(seed), image)

    assert on_devices(augmented, jnp.ones((8, 8, 3))) == (8, 8, 3)


def test_seeds_on_devices_can_have_all_that_a_step_does():
    method = Method(mixup=0.2, accumulate=2, label_smoothing=0.1, ema_decay=0.9)
    task = dataclasses.replace(LONG, method=method)
    started = many_seeds.start(task, 0, "float32")

    def step(seed, data, order):
        state = jax.tree.map(lambda leaf: leaf + seed.astype(leaf.dtype), started)
        return task.step(state, Totals.none(), data, order, 0)[0]

    stepped = on_devices(step, many_seeds.data("float32"), many_seeds.order(0))
    assert stepped == jax.tree.map(jnp.shape, started)


def test_candidates_are_the_engines_that_can_serve(monkeypatch):
    task = Task(tiny.SoftmaxRegression(), optax.sgd(0.1))
    one = jax.devices()[0]

    def serving(seeds, task=task):
        return {engine.name: engine for engine in candidates(task, seeds)}

    monkeypatch.setattr(jax, "devices", lambda: [one])
    assert list(serving(1)) == ["loop"]
    assert list(serving(3)) == ["loop", "map", "vmap"]
    monkeypatch.setattr(jax, "devices", lambda: [one] * 4)
    assert list(serving(6)) == ["loop", "map", "vmap", "devices"]
    assert list(serving(5)) == ["loop", "map", "vmap"]
    assert [seed_mesh(seeds).size for seeds in (1, 2, 3, 4, 6, 8)] == [1, 2, 3, 4, 3, 4]
    # Devices that share batches share them among the seeds of the other engines alone.
    sharing = dataclasses.replace(task, data_mesh=seed_mesh(1))
    meshes = {name: e.task.data_mesh for name, e in serving(2, sharing).items()}
    assert meshes.pop("devices") is None
    assert set(meshes.values()) == {sharing.data_mesh}


def test_steps_run_in_a_loop_on_accelerators_alone():
    assert not devices.loops_are_fast("cpu")
    assert devices.loops_are_fast("gpu")
    assert devices.loops_are_fast("tpu")


def test_a_batch_that_devices_cannot_share_is_refused(monkeypatch):
    one = jax.devices()[0]
    monkeypatch.setattr(jax, "devices", lambda: [one])
    assert data_mesh(7) is None
    monkeypatch.setattr(jax, "devices", lambda: [one] * 8)
    with pytest.raises(ValueError, match="^batch_size 12 cannot be shared by 8 dev"):
        data_mesh(12)
