"""Scores, against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from cnnlab.training import evaluate, evaluation, predictor, score


@pytest.fixture(scope="module")
def trained():
    """A model with statistics of its own, and its variables."""
    model = tiny.Net("stochastic_pool", normalised=True)
    return model, tiny.train(model, epochs=1).variables


def direct(model, variables):
    """The logits of the whole split at once."""
    data = tiny.data()
    return model.apply(variables, data.scaling(data.images))


@pytest.mark.parametrize("batch_size", [1, 7, tiny.EXAMPLES, 64])
def test_predictions_do_not_depend_on_the_batches(trained, batch_size):
    model, variables = trained
    predict = predictor(model, variables, tiny.data().scaling, batch_size=batch_size)
    got = predict(tiny.split().images)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, direct(*trained), rtol=1e-5, atol=1e-5)


def test_a_predictor_can_be_traced(trained):
    model, variables = trained
    predict = predictor(model, variables, tiny.data().scaling)
    assert (predict.model, predict.variables) == trained
    images = tiny.split().images
    shape = jax.eval_shape(predict.apply, predict.variables, images)
    assert (shape.shape, shape.dtype) == ((len(images), 3), np.float32)
    got = predict.apply(predict.variables, images)
    np.testing.assert_allclose(got, predict(images), rtol=1e-5, atol=1e-5)


def test_one_shape_is_compiled_whatever_the_number_of_images(trained):
    _, variables = trained
    traces = []

    def traced_pool(x, *window):
        traces.append(x.shape)
        return x[:, ::2, ::2]

    model = tiny.Net(traced_pool, normalised=True)
    predict = predictor(model, variables, tiny.data().scaling, batch_size=8)
    for count in (8, 3, tiny.EXAMPLES):
        assert predict(tiny.split().images[:count]).shape == (count, tiny.CLASSES)
    assert len(traces) == 1


@pytest.mark.parametrize("side, most", [(6, 500), (64, 500), (224, 41), (1500, 1)])
def test_large_images_are_scored_few_at_a_time(monkeypatch, side, most):
    """A training step of eight of 224x224 must not be followed by 500 of them."""
    seen = []

    def probe(model, variables, scaling, images):
        seen.append(len(images))
        return images[:, 0, 0, :1].astype(np.float32)

    monkeypatch.setattr(evaluation, "_predict", probe)
    column = np.arange(most + 1, dtype=np.int64) % 256
    images = np.broadcast_to(
        column.astype(np.uint8)[:, None, None, None], (most + 1, side, side, 3)
    )
    logits = predictor(None, None, None)(images)
    np.testing.assert_array_equal(logits[:, 0], column)
    assert len(set(seen)) == 1
    assert seen[0] <= most and seen[0] * side**2 <= max(500 * 64**2, side**2)
    assert len(seen) == -(-len(images) // seen[0])


def test_evaluate_gives_the_score_of_its_logits(trained):
    split, scaling = tiny.split(), tiny.data().scaling
    got, logits = evaluate(*trained, scaling, split.images, split.labels)
    np.testing.assert_allclose(logits, direct(*trained), rtol=1e-5, atol=1e-5)
    assert got == score(logits, split.labels)


def test_evaluation_changes_nothing(trained):
    model, variables = trained
    before = jax.tree.map(np.array, variables)
    split, scaling = tiny.split(), tiny.data().scaling
    first, _ = evaluate(model, variables, scaling, split.images, split.labels)
    again, _ = evaluate(model, variables, scaling, split.images, split.labels)
    assert first == again
    tiny.assert_trees_equal(variables, before)


def test_a_score_equals_numpys():
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(40, 5)).astype(np.float32)
    labels = rng.integers(0, 5, 40).astype(np.int32)
    powers = np.exp(logits.astype(np.float64))
    likelihoods = (powers / powers.sum(axis=1, keepdims=True))[range(40), labels]
    got = score(logits, labels)
    np.testing.assert_allclose(got.loss, -np.log(likelihoods).mean(), rtol=1e-5)
    assert got.accuracy == (logits.argmax(axis=1) == labels).mean()


def test_a_score_takes_the_loss_that_is_asked_for(trained):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(40, tiny.CLASSES)).astype(np.float32)
    labels = rng.integers(0, tiny.CLASSES, 40).astype(np.int32)
    right = np.eye(tiny.CLASSES)[labels]
    got = score(logits, labels, loss="mean_squared_error")
    np.testing.assert_allclose(got.loss, np.mean((logits - right) ** 2), rtol=1e-6)
    assert got.accuracy == score(logits, labels).accuracy
    split, scaling = tiny.split(), tiny.data().scaling
    images = split.images, split.labels
    got, logits = evaluate(*trained, scaling, *images, loss="mean_squared_error")
    assert got == score(logits, split.labels, loss="mean_squared_error")


def test_a_score_survives_large_logits():
    logits = np.array([[1e4, 0], [0, 1e4]], np.float32)
    assert score(logits, np.array([0, 1], np.int32)) == (0, 1)
    assert score(logits, np.array([1, 1], np.int32)) == (5e3, 0.5)


def test_half_precision_is_scored_in_single(trained):
    model, variables = trained
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), variables)
    predict = predictor(model, half, tiny.data().scaling)
    assert predict(tiny.split().images).dtype == np.float32
