"""Dense layers that slide over a larger image."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.diagnostics.dense_scores import crop_difference
from cnnlab.layers.dense_head import DenseHead
from cnnlab.layers.subsampling import strided_conv, strided_pool
from cnnlab.models import create_model

HEADED = pytest.mark.parametrize("name", ["alexnet", "alexnet_2012", "zfnet", "vgg11"])


def normal(shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return jnp.asarray(values, jnp.float32)


@functools.cache
def shapes(name, side, **options):
    """The shapes of the (scores, variables) for two images that a network begins on."""
    model = create_model(name, **options)
    images = jnp.zeros((2, side, side, 3))
    return jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), images))


class Small(nn.Module):
    """The pieces of the larger networks: strides 2 and 2, a last map of 3x3 for 19."""

    head_window: int | None
    padding: int = 0

    @nn.compact
    def __call__(self, x):
        # Padding widens the maps, so that the last one has three entries either way.
        bias = nn.initializers.normal(0.5)
        x = strided_conv(x, 4, 3 + 2 * self.padding, 2, self.padding, bias_init=bias)
        x = strided_pool(x, "max_pool", 3, 2)
        x = strided_conv(
            x, 5, 2 + 2 * self.padding, padding=self.padding, bias_init=bias
        )
        return DenseHead((8, 8, 3), (0.0, 0.5, 0.5), self.head_window)(x)


def begin(padding=0):
    return Small(None, padding).init(jax.random.key(0), jnp.zeros((1, 19, 19, 2)))


@HEADED
def test_parameters_are_the_same_in_both_forms_and_on_larger_images(name):
    side = create_model(name).image_shape[0]
    _, dense = shapes(name, side)
    for larger in (0, 160):
        scores, variables = shapes(name, side + larger, head="conv")
        assert variables == dense
        assert scores.shape == ((2, 6, 6, 1000) if larger else (2, 1, 1, 1000))


def test_vgg16_gives_a_map_of_6x6_at_384():
    assert shapes("vgg16", 384, head="conv")[0].shape == (2, 6, 6, 1000)


@HEADED
def test_at_the_papers_size_both_forms_are_one_program(name):
    model = create_model(name)
    _, variables = shapes(name, model.image_shape[0])
    images = jnp.zeros((2, *model.image_shape))

    def program(apply):
        return str(jax.make_jaxpr(apply)(variables, images))

    conv = model.clone(head="conv")
    assert program(model.apply) == program(lambda *x: conv.apply(*x)[:, 0, 0])


def test_both_forms_agree_to_the_bit_on_an_image_of_one_window():
    images, variables = normal((3, 19, 19, 2)), begin()
    dense = jax.jit(Small(None).apply)(variables, images)
    conv = jax.jit(Small(3).apply)(variables, images)
    assert dense.shape == (3, 1, 1, 3)
    np.testing.assert_array_equal(conv, dense)


def small_difference(padding):
    variables = begin(padding)

    def apply(window, images):
        return jax.jit(Small(window, padding).apply)(variables, images)

    return crop_difference(
        lambda images: apply(3, images),
        lambda images: apply(None, images)[:, 0, 0],
        normal((2, 27, 31, 2)),
        stride=4,
        size=19,
    )


def test_without_padding_every_score_is_its_crops():
    difference = small_difference(padding=0)
    assert difference.shape == (2, 3, 4, 3)
    np.testing.assert_allclose(difference, 0, atol=1e-5)


def test_with_padding_no_score_is_its_crops():
    difference = small_difference(padding=1)
    assert difference.shape == (2, 3, 4, 3)
    assert (abs(difference).max(-1) > 1e-3).all()


def test_a_dense_layer_reads_its_window_row_by_row_with_channels_last():
    x, layer = normal((2, 5, 6, 3)), DenseHead((4,), (0.0,), (2, 3))
    variables = layer.init(jax.random.key(0), x)
    weights = variables["params"]["Dense_0"]
    scores = layer.apply(variables, x)
    assert scores.shape == (2, 4, 4, 4)
    for row, column in np.ndindex(4, 4):
        window = x[:, row : row + 2, column : column + 3].reshape(2, -1)
        wanted = window @ weights["kernel"] + weights["bias"]
        np.testing.assert_allclose(scores[:, row, column], wanted, atol=1e-5)


@pytest.mark.parametrize(
    "side, options, entries",
    [
        (32, {}, 1),
        (96, {}, 9),
        (224, {"head": "conv", "head_window": 1}, 1),
        (320, {"head": "conv"}, 49),
    ],
)
def test_the_first_dense_layer_reads_the_map_or_the_window(side, options, entries):
    _, variables = shapes("vgg11", side, **options)
    kernel = variables["params"]["DenseHead_0"]["Dense_0"]["kernel"]
    assert kernel.shape == (512 * entries, 4096)


def test_the_common_vgg16_for_cifar():
    options = {"num_classes": 10, "head_features": 512}
    _, variables = shapes("vgg16_bn", 32, **options)
    parameters = jax.tree.leaves(variables["params"])
    assert sum(math.prod(leaf.shape) for leaf in parameters) == 15_253_578


def test_dropout_takes_its_share_of_the_inputs_in_training_alone():
    x = jnp.ones((1, 1, 1, 1000))
    layer = DenseHead((1,), (0.5,), kernel_init=nn.initializers.ones_init())
    variables = layer.init(jax.random.key(0), x)
    assert layer.apply(variables, x).item() == 1000
    kept = layer.apply(variables, x, train=True, rngs={"dropout": jax.random.key(0)})
    # Those that stay count twice.
    assert 800 < kept.item() < 1200 and kept.item() % 2 == 0 and kept.item() != 1000


def test_a_map_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match=r"the head's window \(7, 7\) exceeds .*1, 1"):
        shapes("vgg11", 32, head="conv")


@pytest.mark.parametrize(
    "message, options",
    {
        "unknown head 'convolution'; choose from dense, conv": {"head": "convolution"},
        "head_window 0 must be at least 1": {"head_window": 0},
        "head_features 0 must be at least 1": {"head_features": 0},
    }.items(),
)
def test_wrong_options_are_refused(message, options):
    with pytest.raises(ValueError, match=message):
        create_model("vgg11", **options)
