"""Learning happens: a whole small run on drawn images."""

import jax
import jax.numpy as jnp
import pytest

from cnnlab import training
from cnnlab.data import load
from cnnlab.models import create_model


@pytest.mark.slow
def test_lenet5_learns_a_few_hundred_glyphs():
    examples, epochs, batch_size = 300, 12, 25
    dataset = load("glyphs", train_examples=examples, test_examples=200)
    model = create_model("lenet5", dataset.num_classes)
    recipe = training.recipes["quick"]()
    optimizer = training.optimizer_of(recipe, epochs * (examples // batch_size))
    state = training.init(model, optimizer, 0, dataset.image_shape)
    state = training.with_learning_rate(state, 0.2)
    scaling = training.scaling_of(dataset.train)
    data = training.resident(dataset.train, scaling)
    step = jax.jit(training.train_step, static_argnums=(0, 1))
    losses = []
    for epoch in range(epochs):
        seen = training.Totals.none()
        for index in training.epoch_order(
            jnp.arange(examples), 0, epoch, batch_size=batch_size
        ):
            state, more = step(model, optimizer, state, *data.batch(index))
            seen = seen.plus(more)
        losses.append(seen.loss / seen.examples)

    def accuracy(split):
        return training.evaluate(
            model, state.variables, scaling, split.images, split.labels
        )[0].accuracy

    assert losses[-1] < losses[0] / 5
    assert accuracy(dataset.train) > 0.9
    # So few glyphs do not teach much, yet more than twice what guessing gives.
    assert accuracy(dataset.test) > 2 / dataset.num_classes
