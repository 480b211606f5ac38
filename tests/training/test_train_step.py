"""One step against its equations, written in NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from cnnlab.data.augmentation import mixup
from cnnlab.ops import pools
from cnnlab.training import (
    Method,
    init,
    key_for,
    optimizer_of,
    with_learning_rate,
)

step = tiny.step
SGD = optax.sgd(0.1)


def batches():
    """Three batches of ten, as (normalised images, labels)."""
    data = tiny.data()
    for start in (0, 5, 10):
        yield data.batch(jnp.arange(start, start + 10))


def test_steps_equal_momentum_descent_in_numpy():
    peak, momentum, clip = 0.05, 0.9, 5.0
    model = tiny.SoftmaxRegression()
    recipe = dataclasses.replace(tiny.RECIPE, momentum=momentum, clip=clip)
    optimizer = optimizer_of(recipe, tiny.TOTAL_STEPS)
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
    model, optimizer = tiny.SoftmaxRegression(), SGD
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


def test_pieces_of_a_batch_give_the_step_of_the_whole():
    model = tiny.Net()
    state = init(model, SGD, 0, tiny.IMAGE_SHAPE)
    batch = next(batches())
    whole, totals = step(model, SGD, state, *batch)
    method = Method(accumulate=5)
    pieces, sums = step(model, SGD, state, *batch, method=method)
    tiny.assert_trees_close(pieces.params, whole.params, 1e-6)
    np.testing.assert_allclose(sums.loss, totals.loss, rtol=1e-6)
    assert (sums.correct, sums.examples) == (totals.correct, totals.examples)
    assert pieces.step == whole.step == 1


def test_each_piece_of_a_batch_moves_the_statistics():
    model = tiny.Net(normalised=True)
    state = init(model, SGD, 0, tiny.IMAGE_SHAPE)
    images, labels = next(batches())
    method = Method(accumulate=2)
    after, totals = step(model, SGD, state, images, labels, method=method)

    @jax.jit
    def piece(variables, images, labels):
        logits, updated = model.apply(
            variables, images, train=True, mutable=["batch_stats"]
        )
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return updated["batch_stats"], losses.sum()

    first, loss = piece(state.variables, images[::2], labels[::2])
    variables = {"params": state.params, "batch_stats": first}
    second, more = piece(variables, images[1::2], labels[1::2])
    tiny.assert_trees_close(after.batch_stats, second, 1e-6)
    np.testing.assert_allclose(totals.loss, loss + more, rtol=1e-6)


@pytest.mark.slow
def test_the_loss_of_mixed_images_is_the_mixture_of_both_labels_losses():
    model = tiny.SoftmaxRegression()
    state = init(model, SGD, 3, tiny.IMAGE_SHAPE)
    images, labels = next(batches())
    _, totals = step(model, SGD, state, images, labels, method=Method(mixup=0.5))

    # Row i holds how much of each image is in mixed image i.
    key = key_for(3, "mixup", 0)
    mixed, shares = mixup(key, images, jnp.eye(len(images)), alpha=0.5)
    own = np.diag(shares)
    assert ((own > 0.01) & (own < 0.99)).any()
    logits = np.asarray(model.apply(state.variables, mixed), np.float64)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss_by_label = -logs[:, labels]
    wanted = (np.asarray(shares, np.float64) * loss_by_label).sum()
    np.testing.assert_allclose(totals.loss, wanted, rtol=1e-5)
    # Hits are of the labels that the images had.
    assert totals.correct == (logits.argmax(axis=1) == labels).sum()


def test_the_average_of_weights_equals_its_formula():
    model, decay = tiny.SoftmaxRegression(), 0.4
    state = init(model, SGD, 0, tiny.IMAGE_SHAPE, averaged=True)
    batch = next(batches())
    wanted = np.asarray(state.params["Dense_0"]["kernel"], np.float64)
    kept = []
    for count in range(1, 6):
        state, _ = step(model, SGD, state, *batch, method=Method(ema_decay=decay))
        kept.append(min(decay, (1 + count) / (10 + count)))
        new = np.asarray(state.params["Dense_0"]["kernel"], np.float64)
        wanted = kept[-1] * wanted + (1 - kept[-1]) * new
    np.testing.assert_allclose(kept, [2 / 11, 3 / 12, 4 / 13, 5 / 14, 0.4])
    got = state.result["params"]["Dense_0"]["kernel"]
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)
    assert not np.allclose(got, new)


def test_the_result_is_the_average_where_there_is_one():
    """Of statistics too: those of the last weights are not the average's."""
    model, decay = tiny.Net(normalised=True), 0.1
    state = init(model, SGD, 0, tiny.IMAGE_SHAPE, averaged=True)
    tiny.assert_trees_equal(state.result, state.variables)
    tiny.assert_trees_equal(state._replace(average=()).result, state.variables)
    before, batch = state.variables, next(batches())
    state, _ = step(model, SGD, state, *batch, method=Method(ema_decay=decay))
    wanted = jax.tree.map(
        lambda old, new: decay * old + (1 - decay) * new, before, state.variables
    )
    tiny.assert_trees_close(state.result, wanted)


def test_in_bfloat16_what_is_kept_and_summed_stays_in_float32():
    losses = {}
    for dtype in (None, "bfloat16"):
        model = tiny.Net(normalised=True, dtype=dtype)
        optimizer = tiny.OPTIMIZER
        state = tiny.begin(model)
        start, seen = state, []
        images, labels = next(batches())
        for _ in range(10):
            state, totals = step(model, optimizer, state, images, labels)
            seen.append(float(totals.loss) / len(labels))
        losses[dtype] = seen
        kinds = {leaf.dtype for leaf in jax.tree.leaves(state)}
        assert kinds == {np.dtype("float32"), np.dtype("int32")}
    logits, _ = model.apply(
        start.variables, images, train=True, mutable=["batch_stats"]
    )
    assert logits.dtype == jnp.bfloat16
    wide = np.asarray(logits, np.float64)
    of_label = wide[np.arange(len(labels)), labels]
    wanted = (np.log(np.exp(wide).sum(axis=1)) - of_label).mean()
    # Summed in float32 from logits that are not, where bfloat16 has 3 digits.
    np.testing.assert_allclose(losses["bfloat16"][0], wanted, rtol=2e-3)
    np.testing.assert_allclose(losses["bfloat16"], losses[None], rtol=0.05, atol=0.01)
    assert losses["bfloat16"] != losses[None]
    assert losses[None][-1] < losses[None][0] / 2
