"""Updates against NumPy, the peak rate, and how rates share compiled code."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from cnnlab.models.cifar_resnet import CifarResNet
from cnnlab.ops import max_pool
from cnnlab.training import (
    Recipe,
    TrainState,
    optimizer_of,
    with_learning_rate,
)
from cnnlab.training.optimizer import kernels
from cnnlab.training.recipes import OPTIMIZERS

TOTAL, WARMUP = 20, 5


@pytest.fixture
def rates():
    """The function from a peak rate to the rates of all steps, read off the updates."""
    schedule = f"cosine(warmup={WARMUP / TOTAL})"
    optimizer = optimizer_of(
        Recipe(steps=TOTAL, momentum=0.0, schedule=schedule), TOTAL
    )
    update = jax.jit(optimizer.update)

    def of(peak):
        param = jnp.zeros(())
        state = TrainState(jnp.int32(0), jnp.int32(0), param, {}, optimizer.init(param))
        opt_state = with_learning_rate(state, peak).opt_state
        steps = []
        for _ in range(TOTAL + 1):
            step, opt_state = update(jnp.ones(()), opt_state, param)
            steps.append(-float(step))
        return np.array(steps)

    return of


def test_the_rate_rises_linearly_then_falls_as_a_cosine_to_0(rates):
    got = rates(0.3)
    rise = np.arange(WARMUP) / WARMUP
    fall = np.arange(TOTAL - WARMUP + 1) / (TOTAL - WARMUP)
    wanted = 0.3 * np.concatenate([rise, (1 + np.cos(np.pi * fall)) / 2])
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)
    assert got[0] == 0
    assert got.argmax() == WARMUP


def test_the_peak_scales_the_whole_schedule(rates):
    np.testing.assert_allclose(rates(0.6), 2 * rates(0.3), rtol=1e-5, atol=1e-7)


def test_rates_and_seeds_share_what_is_compiled():
    traces = []

    def traced_pool(x, *window):
        traces.append(x.shape)
        return max_pool(x, *window)

    def batches_traced():
        return sum(shape[0] == tiny.BATCH_SIZE for shape in traces)

    model = tiny.Net(traced_pool)
    tiny.train(model)
    once = batches_traced()
    assert once
    tiny.train(model, learning_rate=0.1)
    tiny.train(model, seed=1, learning_rate=0.2)
    assert batches_traced() == once


# A layer, its normalisation, and two of each as one loop stacks them.
SHAPES = {
    "Conv_0": {"kernel": (3, 3, 2, 4), "bias": (4,)},
    "BatchNorm_0": {"scale": (4,), "bias": (4,)},
    "Loop": {
        "Conv_0": {"kernel": (2, 3, 3, 4, 4), "bias": (2, 4)},
        "BatchNorm_0": {"scale": (2, 4), "bias": (2, 4)},
    },
    "Pool_0": {"alpha": (4,)},
}


def drawn(rng, scale=1.0):
    return jax.tree.map(
        lambda shape: rng.normal(0, scale, shape),
        SHAPES,
        is_leaf=lambda node: isinstance(node, tuple),
    )


def descended(recipe, param, gradients, decayed):
    """One parameter after the steps of `optimizer_of`, by their equations."""
    first, second = np.zeros_like(param), np.zeros_like(param)
    momentum, decay = recipe.momentum, recipe.weight_decay * decayed
    for step, gradient in enumerate(gradients):
        # The rate falls to a quarter halfway.
        rate = recipe.learning_rate * (1 if step < len(gradients) / 2 else 0.25)
        if recipe.optimizer == "adam":
            first = momentum * first + (1 - momentum) * gradient
            second = 0.999 * second + 0.001 * gradient**2
            unbiased = first / (1 - momentum ** (step + 1))
            deviation = np.sqrt(second / (1 - 0.999 ** (step + 1)))
            param = param - rate * (unbiased / (deviation + 1e-8) + decay * param)
            continue
        penalised = gradient + decay * param
        if recipe.optimizer == "adadelta":
            second = momentum * second + (1 - momentum) * penalised**2
            move = np.sqrt((first + 1e-6) / (second + 1e-6)) * penalised
            first = momentum * first + (1 - momentum) * move**2
            param = param - rate * move
            continue
        first = momentum * first + penalised
        ahead = penalised + momentum * first
        param = param - rate * (ahead if recipe.optimizer == "nesterov" else first)
    return param


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_equal_their_equations(name):
    recipe = Recipe(
        steps=4,
        optimizer=name,
        learning_rate=0.3,
        momentum=0.8,
        weight_decay=0.1,
        clip=20.0,
        schedule="piecewise(at=(1,), of=2, factor=0.25)",
    )
    rng = np.random.default_rng(0)
    params = drawn(rng)
    gradients = [drawn(rng, scale) for scale in (3.0, 0.5, 0.2, 2.0)]
    norms = [np.sqrt(sum((x**2).sum() for x in jax.tree.leaves(g))) for g in gradients]
    assert min(norms) < recipe.clip < max(norms)
    clipped = [
        jax.tree.map(
            lambda leaf, norm=norm: leaf * min(1, recipe.clip / norm), gradient
        )
        for gradient, norm in zip(gradients, norms, strict=True)
    ]
    with jax.enable_x64(True):
        optimizer = optimizer_of(recipe, recipe.steps)

        @jax.jit
        def step(params, opt_state, gradient):
            updates, opt_state = optimizer.update(gradient, opt_state, params)
            return optax.apply_updates(params, updates), opt_state

        got = jax.tree.map(jnp.asarray, params)
        opt_state = optimizer.init(got)
        for gradient in gradients:
            got, opt_state = step(got, opt_state, gradient)

    def compare(path, ours, start, *gradients):
        wanted = descended(recipe, start, gradients, path[-1].key == "kernel")
        # Optax takes the powers of Adam's decays in float32.
        np.testing.assert_allclose(ours, wanted, rtol=1e-6 if name == "adam" else 1e-12)

    jax.tree_util.tree_map_with_path(compare, got, params, *clipped)


@pytest.mark.parametrize("scan", [False, True])
def test_kernels_alone_decay_where_blocks_are_stacked_too(scan):
    model = CifarResNet(blocks_per_stage=3, scan=scan)
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    init = functools.partial(model.init, train=False)
    params = jax.eval_shape(init, jax.random.key(0), images)["params"]
    decays = {
        jax.tree_util.keystr(path, simple=True, separator="/"): decayed
        for path, decayed in jax.tree_util.tree_leaves_with_path(kernels(params))
    }
    assert any(decays.values())
    for name, decayed in decays.items():
        assert decayed == name.endswith("/kernel"), name


def test_a_rate_is_set_in_the_precision_of_the_run():
    with jax.enable_x64(True):
        param = jnp.zeros((), jnp.float64)
        recipe = Recipe(steps=TOTAL, momentum=0.0, schedule="cosine")
        optimizer = optimizer_of(recipe, TOTAL)
        state = TrainState(jnp.int32(0), jnp.int32(0), param, {}, optimizer.init(param))
        opt_state = with_learning_rate(state, 0.1).opt_state
        update, after = jax.jit(optimizer.update)(jnp.ones(()), opt_state, param)
    assert float(update) == -0.1
    kinds = [[leaf.dtype for leaf in jax.tree.leaves(s)] for s in (opt_state, after)]
    assert kinds[0] == kinds[1]
