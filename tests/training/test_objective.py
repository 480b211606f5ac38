"""What training makes small, against NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.training.objective import LOSSES, losses

LABELS = np.array([0, 2, 1, 2])
SCORES = np.random.default_rng(0).normal(0, 3, (4, 3)).astype(np.float32)


def cross_entropy(scores, targets):
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(targets * logs).sum(axis=1)


def mean_squared_error(scores, targets):
    return np.square(scores - targets).mean(axis=1)


REFERENCES = {
    "cross_entropy": cross_entropy,
    "mean_squared_error": mean_squared_error,
}


def test_every_loss_has_a_reference():
    assert set(REFERENCES) == set(LOSSES)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_equal_numpy(loss, smoothing):
    scores = SCORES.astype(np.float64)
    one_hot = np.eye(3)[LABELS]
    # A share of each label goes to all three classes alike, its own among them.
    targets = (1 - smoothing) * one_hot + smoothing / 3
    wanted = REFERENCES[loss](scores, targets)
    for labels in (jnp.asarray(LABELS), jnp.asarray(one_hot, jnp.float32)):
        got = losses(jnp.asarray(SCORES), labels, loss=loss, label_smoothing=smoothing)
        np.testing.assert_allclose(got, wanted, rtol=2e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_scores_of_half_precision_are_taken_in_float32(loss):
    halves = jnp.asarray(SCORES, jnp.bfloat16)
    got = losses(halves, jnp.asarray(LABELS), loss=loss)
    assert got.dtype == jnp.float32
    wanted = REFERENCES[loss](np.asarray(halves, np.float64), np.eye(3)[LABELS])
    np.testing.assert_allclose(got, wanted, rtol=2e-6)


def test_scores_far_apart_have_finite_losses():
    scores = jnp.asarray([[1e4, 0.0, -1e4]])
    np.testing.assert_allclose(losses(scores, jnp.array([2])), [2e4])
    np.testing.assert_allclose(losses(scores, jnp.array([0])), [0])
