"""Whole training steps lowered for accelerators that this machine need not have."""

import jax
import jax.numpy as jnp
import optax
import pytest

from cnnlab.models import create_model
from cnnlab.ops import pools
from cnnlab.training import init, train_step

# By the experiment that a newcomer runs first.
COMPARED = {"max_pool", "avg_pool", "stochastic_pool"}
PLATFORMS = pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])


def export(model, side, platform):
    """The module of one training step on two images."""
    optimizer = optax.sgd(0.1, momentum=0.9)
    state = jax.eval_shape(lambda: init(model, optimizer, 0, (side, side, 1)))
    images = jax.ShapeDtypeStruct((2, side, side, 1), jnp.float32)
    labels = jax.ShapeDtypeStruct((2,), jnp.int32)

    @jax.jit
    def step(state, images, labels):
        return train_step(model, optimizer, state, images, labels)

    return jax.export.export(step, platforms=[platform])(state, images, labels)


def assert_convolves(exported, platform):
    assert exported.platforms == (platform,)
    if platform != "cpu":
        assert "stablehlo.convolution" in exported.mlir_module()


@PLATFORMS
@pytest.mark.parametrize(
    "pool",
    [
        pool if pool in COMPARED else pytest.param(pool, marks=pytest.mark.slow)
        for pool in pools
    ],
)
def test_a_training_step_is_exported_with_every_pool(pool, platform):
    assert_convolves(export(create_model("lenet5", pool=pool), 28, platform), platform)
