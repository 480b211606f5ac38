"""What a model sows in the collection "auxiliary" counts in training alone."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from cnnlab.training import init, train_step

RATE = 0.1
OPTIMIZER = optax.sgd(RATE)


class ManyHeads(nn.Module):
    """A hidden layer, and as many other heads on it as wanted."""

    heads: int = 2

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.tanh(nn.Dense(4, name="hidden")(x.reshape(x.shape[0], -1)))
        for i in range(self.heads):
            scores = nn.Dense(tiny.CLASSES, name=f"head_{i}")(x)
            if train:
                self.sow("auxiliary", "scores", scores)
        return nn.Dense(tiny.CLASSES, name="own")(x)


def batch():
    return tiny.data().batch(jnp.arange(8))


def loss(params, names):
    """The mean cross-entropies of the heads of these names."""
    images, labels = batch()
    x = images.reshape(len(labels), -1)
    hidden = params["hidden"]
    x = jnp.tanh(x @ hidden["kernel"] + hidden["bias"])
    losses = []
    for name in names:
        powers = jnp.exp(x @ params[name]["kernel"] + params[name]["bias"])
        of_label = powers[jnp.arange(len(labels)), labels]
        losses.append(-jnp.log(of_label / powers.sum(-1)).mean())
    return losses


@pytest.mark.parametrize("heads", [0, 1, 2])
def test_a_step_follows_the_loss_with_three_tenths_of_the_others(heads):
    model = ManyHeads(heads)
    state = init(model, OPTIMIZER, 0, tiny.IMAGE_SHAPE)

    def whole(params):
        own, *others = loss(params, ["own", *(f"head_{i}" for i in range(heads))])
        return own + 0.3 * sum(others)

    gradient = jax.grad(whole)(state.params)
    after, _ = train_step(model, OPTIMIZER, state, *batch())
    wanted = jax.tree.map(lambda p, g: p - RATE * g, state.params, gradient)
    tiny.assert_trees_close(after.params, wanted)


def test_the_loss_that_is_told_is_that_of_the_models_own_scores():
    model = ManyHeads()
    state = init(model, OPTIMIZER, 0, tiny.IMAGE_SHAPE)
    _, totals = train_step(model, OPTIMIZER, state, *batch())
    (own,) = loss(state.params, ["own"])
    np.testing.assert_allclose(totals.loss, own * totals.examples, rtol=1e-5)


def test_no_state_holds_auxiliary_scores():
    model = ManyHeads()
    state = init(model, OPTIMIZER, 0, tiny.IMAGE_SHAPE)
    after, _ = train_step(model, OPTIMIZER, state, *batch())
    assert set(state.variables) == set(after.variables) == {"params"}
    assert jax.tree.structure(after) == jax.tree.structure(state)
