"""Every family's training step lowered for accelerators that need not be here."""

import functools

import jax
import jax.numpy as jnp
import optax
import pytest
from expected_models import smallest_of_each_family

from cnnlab.models import create_model
from cnnlab.training import init, train_step

QUICK = {"lenet5", "resnet20", "zeiler_fergus"}


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in smallest_of_each_family()
    ],
)
def test_every_familys_training_step_is_exported(name, platform):
    model, optimizer = create_model(name), optax.sgd(0.1, momentum=0.9)
    state = jax.eval_shape(lambda: init(model, optimizer, 0, model.image_shape))
    images = jax.ShapeDtypeStruct((2, *model.image_shape), jnp.float32)
    labels = jax.ShapeDtypeStruct((2,), jnp.int32)
    step = jax.jit(functools.partial(train_step, model, optimizer))
    exported = jax.export.export(step, platforms=[platform])(state, images, labels)
    assert exported.platforms == (platform,)
    if platform != "cpu":
        assert "stablehlo.convolution" in exported.mlir_module()
