"""One step against its equations, written in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tiny

from cnnlab.ops import pools
from cnnlab.training import (
    init,
    key_for,
    momentum_sgd,
    train_step,
    with_learning_rate,
)

step = jax.jit(train_step, static_argnums=(0, 1))


def batches():
    """Three batches of ten, as (normalised images, labels)."""
    data = tiny.data()
    for start in (0, 5, 10):
        yield data.batch(jnp.arange(start, start + 10))


def test_steps_equal_momentum_descent_in_numpy():
    peak, momentum, clip = 0.05, 0.9, 5.0
    model = tiny.SoftmaxRegression()
    optimizer = momentum_sgd(
        tiny.TOTAL_STEPS, momentum=momentum, warmup=1 / tiny.TOTAL_STEPS, clip=clip
    )
    state = tiny.begin(model, learning_rate=peak)
    weights, bias = (
        np.asarray(state.params["Dense_0"][name], np.float64)
        for name in ("kernel", "bias")
    )
    speed, norms = [np.zeros_like(weights), np.zeros_like(bias)], []
    for t, (images, labels) in enumerate(batches()):
        x = np.asarray(images, np.float64).reshape(len(labels), -1)
        powers = np.exp(x @ weights + bias)
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        right = np.eye(tiny.CLASSES)[labels]
        loss = -np.log((probabilities * right).sum(axis=1)).sum()
        hits = (probabilities.argmax(axis=1) == labels).sum()

        error = (probabilities - right) / len(labels)
        gradients = [x.T @ error, error.sum(axis=0)]
        norm = np.sqrt(sum(np.square(g).sum() for g in gradients))
        norms.append(norm)
        gradients = [g * min(1, clip / norm) for g in gradients]
        fallen = (t - 1) / (tiny.TOTAL_STEPS - 1)
        rate = peak * (1 + np.cos(np.pi * fallen)) / 2 if t else 0
        speed = [momentum * v + g for v, g in zip(speed, gradients, strict=True)]
        # Nesterov's form looks one step of momentum ahead.
        ahead = [g + momentum * v for v, g in zip(speed, gradients, strict=True)]
        weights = weights - rate * ahead[0]
        bias = bias - rate * ahead[1]

        state, totals = step(model, optimizer, state, images, labels)
        np.testing.assert_allclose(totals.loss, loss, rtol=1e-5)
        assert totals.correct == hits
        assert totals.examples == len(labels)
        got = state.params["Dense_0"]
        np.testing.assert_allclose(got["kernel"], weights, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(got["bias"], bias, rtol=1e-4, atol=1e-6)
    # Some gradients were shortened, and some were short enough.
    assert min(norms) < clip < max(norms), norms


def test_the_optimizer_may_be_any_of_optax():
    model, optimizer = tiny.SoftmaxRegression(), optax.sgd(0.1)
    images, labels = next(batches())
    state = init(model, optimizer, 0, tiny.IMAGE_SHAPE)

    def loss(params):
        logits = jax.nn.log_softmax(model.apply({"params": params}, images))
        return -logits[jnp.arange(len(labels)), labels].mean()

    gradient = jax.grad(loss)(state.params)
    after, _ = step(model, optimizer, state, images, labels)
    wanted = jax.tree.map(lambda p, g: p - 0.1 * g, state.params, gradient)
    tiny.assert_trees_close(after.params, wanted)


def test_a_step_counts_itself_and_keeps_the_seed():
    model = tiny.SoftmaxRegression()
    state = tiny.begin(model, seed=5)
    for count, batch in enumerate(batches()):
        assert state.step == count
        state, _ = step(model, tiny.OPTIMIZER, state, *batch)
    assert state.seed == 5


def test_the_draws_of_a_pool_are_those_of_seed_and_step():
    model = tiny.Net("stochastic_pool")
    state = tiny.begin(model, seed=4)._replace(step=jnp.int32(9))
    images, labels = next(batches())
    _, totals = step(model, tiny.OPTIMIZER, state, images, labels)

    def loss(seed, count):
        rngs = {"pool": key_for(seed, "pool", count)}
        logits = model.apply(state.variables, images, train=True, rngs=rngs)
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels
        return cross_entropy(logits, labels).sum()

    np.testing.assert_allclose(totals.loss, loss(4, 9), rtol=1e-5)
    assert not np.isclose(totals.loss, loss(4, 8), rtol=1e-5)
    assert not np.isclose(totals.loss, loss(5, 9), rtol=1e-5)


def test_training_moves_the_statistics_of_batchnorm():
    model = tiny.Net(normalised=True)
    state = tiny.begin(model)
    images, labels = next(batches())
    after, _ = step(model, tiny.OPTIMIZER, state, images, labels)
    _, seen = model.apply(state.variables, images, train=True, mutable=["batch_stats"])
    tiny.assert_trees_close(after.batch_stats, seen["batch_stats"])
    changes = jax.tree.map(
        lambda a, b: (a != b).any(), after.batch_stats, state.batch_stats
    )
    assert all(jax.tree.leaves(changes))


def test_a_model_without_statistics_has_none():
    state = tiny.begin(tiny.Net())
    assert not state.batch_stats
    assert set(state.variables) == {"params"}


def test_arms_begin_alike():
    first, other = (
        tiny.begin(tiny.Net(name), seed=3) for name in ("max_pool", "stochastic_pool")
    )
    tiny.assert_trees_equal(other, first)


def test_an_arm_that_learns_its_pool_begins_alike_but_for_it():
    first, other = (
        tiny.begin(tiny.Net(name), seed=3).params for name in ("max_pool", "gated_pool")
    )
    (pool,) = set(other) - set(first)
    assert set(other[pool]) == set(pools["gated_pool"].weights)
    tiny.assert_trees_equal({name: other[name] for name in first}, first)


def test_the_beginning_is_a_function_of_the_seed():
    first, again, other = (tiny.begin(tiny.Net(), seed) for seed in (0, 0, 1))
    tiny.assert_trees_equal(again, first)
    kernels = (state.params["Conv_0"]["kernel"] for state in (first, other))
    assert np.not_equal(*kernels).all()


def test_a_rate_changes_nothing_else():
    state = tiny.begin(tiny.Net(), learning_rate=0.1)
    other = with_learning_rate(state, 0.2)
    assert optax.tree.get(other.opt_state, "learning_rate") == np.float32(0.2)
    tiny.assert_trees_equal(with_learning_rate(other, 0.1), state)
