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
from cnnlab.data.augmentation import augmentations, mixup
from cnnlab.training import Method, Totals, resident, scaling_of, train_step
from cnnlab.training.engines import (
    ENGINES,
    Engine,
    Task,
    candidates,
    data_mesh,
    seed_mesh,
)

# "devices" holds the loop of "map", and "loop" the step itself.
SOME = [
    pytest.param(name, marks=[] if name in ("vmap", "devices") else pytest.mark.slow)
    for name in ENGINES
]
ONLY_VMAP = [
    pytest.param(name, marks=[] if name == "vmap" else pytest.mark.slow)
    for name in ENGINES
]


@pytest.mark.parametrize("name", SOME)
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


@pytest.mark.parametrize("name", ONLY_VMAP)
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


@pytest.mark.parametrize(
    "name,many_steps", [("vmap", False), *((name, True) for name in ENGINES)]
)
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
    _, totals = train_step(task.model, task.optimizer, state, *batch)
    assert totals.diverged_at == 1
    assert jnp.isfinite(totals.loss)


def test_seeds_on_devices_can_accumulate():
    method = Method(accumulate=2, ema_decay=0.9)
    task = Task(tiny.SoftmaxRegression(), optax.sgd(0.1), method)
    engine = Engine("devices", task, many_steps=True)
    states, _ = many_seeds.together(engine, 3, "float32", seeds=2)
    for seed, state in enumerate(states):
        wanted, _ = many_seeds.alone(task, seed, 3, "float32")
        many_seeds.assert_same_state(state, wanted, 1e-5)


def on_devices(function):
    """`function` of a key that varies by seed, and of arrays that all seeds share."""

    def each(seeds, *arrays):
        made = function(jax.random.key(seeds[0]), *arrays)
        return jax.tree.map(lambda leaf: leaf[None], made)

    def call(*arrays):
        specs = P("seed"), *(P() for _ in arrays)
        mapped = jax.shard_map(
            each, mesh=seed_mesh(1), in_specs=specs, out_specs=P("seed")
        )
        # What varies by seed is checked in tracing.
        return jax.eval_shape(mapped, jnp.arange(1), *arrays)

    return call


@pytest.mark.parametrize("name", augmentations)
def test_seeds_on_devices_can_have_every_augmentation(name):
    assert on_devices(augmentations[name])(jnp.ones((8, 8, 3))).shape == (1, 8, 8, 3)


def test_seeds_on_devices_can_have_mixup():
    images, labels = on_devices(mixup)(jnp.ones((4, 6, 6, 3)), jnp.eye(4))
    assert (images.shape, labels.shape) == ((1, 4, 6, 6, 3), (1, 4, 4))


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


def test_a_batch_that_devices_cannot_share_is_refused(monkeypatch):
    one = jax.devices()[0]
    monkeypatch.setattr(jax, "devices", lambda: [one])
    assert data_mesh(7) is None
    monkeypatch.setattr(jax, "devices", lambda: [one] * 8)
    with pytest.raises(ValueError, match="^batch_size 12 cannot be shared by 8 dev"):
        data_mesh(12)
