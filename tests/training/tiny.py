"""A network and a set so small that a test can train them many times over."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.data import Split
from cnnlab.layers import BatchNorm, Conv, Pool
from cnnlab.training import (
    Recipe,
    epoch_order,
    init,
    optimizer_of,
    resident,
    scaling_of,
    train_step,
    with_learning_rate,
)

IMAGE_SHAPE = (6, 6, 2)
CLASSES = 3
EXAMPLES = 20
BATCH_SIZE = 6

# One object for all tests, so that they share what is compiled. Its first step is at
# rate 0 and its second at the peak.
TOTAL_STEPS = 12
RECIPE = Recipe(
    steps=TOTAL_STEPS,
    batch_size=BATCH_SIZE,
    optimizer="nesterov",
    schedule=f"cosine(warmup={1 / TOTAL_STEPS!r})",
    clip=1.0,
)
OPTIMIZER = optimizer_of(RECIPE, TOTAL_STEPS)
step = jax.jit(train_step, static_argnums=(0, 1), static_argnames="method")


class Net(nn.Module):
    """A convolution, a normalisation if wanted, a pool, dropout and a dense layer."""

    pool: object = "max_pool"
    normalised: bool = False
    dropout: float = 0.0
    dtype: object = None

    @nn.compact
    def __call__(self, x, *, train=False):
        x = Conv(3, 3, dtype=self.dtype)(x)
        if self.normalised:
            x = BatchNorm(use_running_average=not train, dtype=self.dtype)(x)
        x = Pool(self.pool, 2)(nn.relu(x), train=train)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(CLASSES, dtype=self.dtype)(x.reshape(x.shape[0], -1))


class SoftmaxRegression(nn.Module):
    """One dense layer."""

    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Dense(CLASSES)(x.reshape(x.shape[0], -1))


def split(examples=EXAMPLES, seed=0):
    """Noise that grows brighter with the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, examples).astype(np.int32)
    images = rng.integers(0, 100, (examples, *IMAGE_SHAPE), np.uint8)
    return Split(
        images + np.uint8(50) * labels[:, None, None, None].astype(np.uint8), labels
    )


def data():
    """The split on the device."""
    return resident(split(), scaling_of(split()))


def begin(model, seed=0, learning_rate=0.05):
    """The state at step 0."""
    return with_learning_rate(init(model, OPTIMIZER, seed, IMAGE_SHAPE), learning_rate)


def train(model, *, seed=0, epochs=2, learning_rate=0.05):
    """The state after some epochs from the beginning."""
    state, images = begin(model, seed, learning_rate), data()
    for epoch in range(epochs):
        index = jnp.arange(EXAMPLES)
        for taken in epoch_order(index, seed, epoch, batch_size=BATCH_SIZE):
            state, _ = step(model, OPTIMIZER, state, *images.batch(taken))
    return state


def assert_trees_equal(got, wanted):
    """Bit for bit."""
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


def assert_trees_close(got, wanted, tolerance=1e-5):
    """To rounding."""
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, tolerance, tolerance), got, wanted
    )
