"""Where a trained net loses its consistency, told by surgery on it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab import data, training
from cnnlab.diagnostics import surgery
from cnnlab.models.cifar_resnet import CifarResNet

EXACT = "adaptive_polyphase(pool=None)"
# Branch and shortcut of each stage that halves its maps.
STAGES = ((0, 1), (2, 3))


@pytest.fixture(scope="module")
def trained():
    """A small residual net on a torus after 20 steps, and images it was not shown."""
    glyphs = data.load("glyphs", image_size=16, train_examples=640, test_examples=32)
    model = CifarResNet(blocks_per_stage=1, boundary="circular")
    optimizer = training.optimizer_of(training.recipes["quick"](), total_steps=20)
    state = training.init(model, optimizer, 0, glyphs.image_shape)
    scaling = training.scaling_of(glyphs.train)
    images = training.resident(glyphs.train, scaling)
    for step in range(20):
        batch = images.batch(jnp.arange(32) + 32 * step)
        state, _ = training.train_step(model, optimizer, state, *batch)
    variables = state.variables
    x, _ = training.resident(glyphs.test, scaling).batch(jnp.arange(32))
    return (lambda images: model.apply(variables, images)), np.asarray(x)


def _consistency(images):
    """Of each image, the share of its 15 rolls by up to 3 that keep its class."""
    rolls = [np.roll(images, (dy, dx), (1, 2)) for dy in range(4) for dx in range(4)]

    def score(predict):
        home, *moved = (np.argmax(predict(rolled), -1) for rolled in rolls)
        return np.mean([classes == home for classes in moved], 0)

    return score


@pytest.mark.slow
def test_shift_exact_sampling_everywhere_makes_a_trained_net_consistent(trained):
    predict, images = trained
    found = surgery.downsampling_effects(
        predict, EXACT, _consistency(images), images, together=STAGES
    )
    assert found.sites == STAGES
    assert found.scored == 4
    assert (found.full == 1).all()
    assert found.none.mean() < 0.99
    # One stage alone leaves the other to alias.
    assert (found.full - found.last < 1).any(1).all()
    np.testing.assert_allclose(found.shapley.sum(0), found.full - found.none)
    swap = surgery.swap_downsampling(predict, EXACT, together=STAGES)
    together, apart = jax.jit(swap), jax.jit(surgery.swap_downsampling(predict, EXACT))
    logits, rolled = (np.asarray(together(x)) for x in (images, np.roll(images, 1, 1)))
    np.testing.assert_allclose(rolled, logits, atol=1e-5 * np.abs(logits).max())
    # Branch and shortcut that choose apart do not belong together any more.
    moved = np.abs(apart(np.roll(images, 1, 1)) - apart(images))
    assert moved.max() > 1e-2 * np.abs(logits).max()


@pytest.mark.parametrize(
    "operator, together, message",
    [
        (EXACT, ((0, 9),), r"unknown site 9 in \(0, 9\)"),
        ({0: EXACT}, ((0, 1),), "need one operator, all of them"),
        ("adaptive_polyphase", ((0, 1),), "cannot share its choice"),
        (EXACT, ((0, 2),), "are in different calls or loops"),
    ],
)
def test_a_group_that_cannot_share_is_one_line(operator, together, message):
    def function(x):
        both = x[:, ::2, ::2] + x[:, 1::2, ::2]
        return both + jax.lax.map(lambda row: row[::2, ::2], x)

    swapped = surgery.swap_downsampling(function, operator, together=together)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(swapped, jnp.ones((2, 8, 8, 3)))
