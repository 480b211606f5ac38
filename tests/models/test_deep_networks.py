"""What the deepest networks take: programs that do not grow with depth, and memory."""

import collections
import functools
import re

import jax
import jax.numpy as jnp
import optax
import pytest

from cnnlab.models import create_model
from cnnlab.training import init, train_step


def lowered_step(name, batch, **options):
    """A whole training step, its state given away, lowered and not compiled."""
    model, optimizer = create_model(name, **options), optax.sgd(0.1, momentum=0.9)
    state = jax.eval_shape(lambda: init(model, optimizer, 0, model.image_shape))
    images = jax.ShapeDtypeStruct((batch, *model.image_shape), jnp.float32)
    labels = jax.ShapeDtypeStruct((batch,), jnp.int32)
    step = jax.jit(functools.partial(train_step, model, optimizer), donate_argnums=0)
    return step.lower(state, images, labels)


def operations(program):
    """How often each operation stands in a lowered program."""
    return collections.Counter(re.findall(r"= \"?(\w+\.\w+|call)", program.as_text()))


def lowered_scores(name, **options):
    model = create_model(name, **options)
    images = jax.ShapeDtypeStruct((2, *model.image_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    return jax.jit(model.apply).lower(variables, images)


def test_blocks_in_a_loop_make_a_program_of_one_size_for_any_depth():
    shallow, deep = (operations(lowered_scores(f"resnet{n}")) for n in (110, 1202))
    assert deep == shallow
    assert shallow["stablehlo.while"] == 3
    blocks = [operations(lowered_scores(f"resnet{n}"))["call"] for n in (20, 32)]
    # Without a loop, six blocks more: two convolutions, norms and ReLUs each.
    assert blocks[1] >= blocks[0] + 6 * 6


@pytest.mark.slow
def test_so_does_resnet152_with_its_gradient():
    shallow, deep = (
        operations(lowered_step(f"resnet{n}", 2, scan=True)) for n in (101, 152)
    )
    assert deep == shallow
    assert shallow["stablehlo.while"] >= 2 * 4


@pytest.mark.slow
def test_a_step_of_resnet1202_on_32_images_fits_into_16_gigabytes():
    memory = lowered_step("resnet1202", 32).compile().memory_analysis()
    weights = 19_421_274 * 4
    # Parameters and their momenta.
    assert memory.argument_size_in_bytes > 2 * weights
    total = (
        memory.temp_size_in_bytes
        + memory.argument_size_in_bytes
        + memory.output_size_in_bytes
    )
    # What a gradient needs is no less than the results of 200 blocks in each stage.
    results = 32 * 4 * 200 * (32 * 32 * 16 + 16 * 16 * 32 + 8 * 8 * 64)
    assert results < total < 16e9
