"""Residual blocks against the same sums written out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnlab.layers import BasicBlock, BottleneckBlock

BLOCKS = pytest.mark.parametrize("block", [BasicBlock, BottleneckBlock])
SHORTCUTS = pytest.mark.parametrize("shortcut", ["projection", "pad"])
SHAPE = (2, 6, 8, 4)


@pytest.fixture
def x():
    return normal(SHAPE)


def normal(shape):
    values = np.random.default_rng(0).normal(size=shape)
    return jnp.asarray(values, jnp.float32)


def width(block, features):
    return features * (4 if block is BottleneckBlock else 1)


def shapes(layer, shape=SHAPE):
    """The shapes of the (output, variables), without computing either."""
    x = jnp.zeros(shape)
    return jax.eval_shape(lambda: layer.init_with_output(jax.random.key(0), x))


def any_variables(layer, x, seed=1):
    """Variables at random, so that no scale is 1 and no mean 0."""
    rng = np.random.default_rng(seed)
    begun = jax.eval_shape(layer.init, jax.random.key(0), x)
    draw = jax.tree.map(lambda leaf: rng.uniform(0.2, 1, leaf.shape), begun)
    draw["params"] = jax.tree.map(lambda leaf: 1.2 - 2 * leaf, draw["params"])
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), draw)


@BLOCKS
@SHORTCUTS
@pytest.mark.parametrize("pool", [None, "max_pool"])
@pytest.mark.parametrize("strides", [1, 2])
def test_the_output_shape(block, shortcut, pool, strides):
    out, _ = shapes(block(8, strides, shortcut, pool))
    assert out.shape == (2, 6 // strides, 8 // strides, width(block, 8))


@BLOCKS
@SHORTCUTS
@pytest.mark.parametrize("strides", [1, 2])
def test_a_pool_leaves_the_parameters_as_they_are(block, shortcut, strides):
    _, strided = shapes(block(8, strides, shortcut))
    _, pooled = shapes(block(8, strides, shortcut, "max_pool"))
    assert strided == pooled


@BLOCKS
def test_a_shortcut_that_fits_is_the_identity(block):
    features = SHAPE[-1] // width(block, 1)
    _, projected = shapes(block(features, shortcut="projection"))
    _, padded = shapes(block(features, shortcut="pad"))
    assert projected == padded


@BLOCKS
def test_an_unknown_shortcut_is_refused(block):
    message = "unknown shortcut 'identity'; choose from projection, pad"
    with pytest.raises(ValueError, match=message):
        shapes(block(8, 2, "identity"))


@BLOCKS
def test_unknown_names_are_refused_even_where_they_are_not_needed(block):
    for options, message in {
        ("shortcut", "identity"): "unknown shortcut 'identity'; choose from projection",
        ("pool", "no_pool"): "unknown pool 'no_pool'; choose from",
        ("boundary", "wrap"): "unknown boundary 'wrap'; choose from zero",
    }.items():
        with pytest.raises(ValueError, match=message):
            block(8, **dict([options]))


def test_a_bottleneck_subsamples_in_its_first_or_second_convolution():
    with pytest.raises(ValueError, match="subsampling_conv 2 must be 0.* or 1"):
        BottleneckBlock(8, subsampling_conv=2)


def test_a_shortcut_cannot_pad_to_fewer_channels():
    with pytest.raises(ValueError, match="'pad' cannot make 2 channels of 4"):
        shapes(BasicBlock(2, 2, "pad"))


@BLOCKS
def test_features_that_are_no_count_are_refused(block):
    for features, error in ((0, ValueError), (2.0, TypeError), (None, TypeError)):
        with pytest.raises(error, match=f"features.*{features}"):
            shapes(block(features))


def convolve(x, kernel, strides=1):
    pads = [(size // 2, size // 2) for size in kernel.shape[:2]]
    return lax.conv_general_dilated(
        x, kernel, (strides, strides), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def halve(x):
    """Max pooling 2x2, by reshaping."""
    batch, height, width, channels = x.shape
    cells = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return cells.max(axis=(2, 4))


class Reference:
    """A block in evaluation mode, as one reads it off the paper's figure 5."""

    def __init__(self, variables):
        self.params = variables["params"]
        self.stats = variables["batch_stats"]

    def conv(self, name, x, strides=1):
        return convolve(x, self.params[name]["kernel"], strides)

    def norm(self, name, x):
        mean, variance = (self.stats[name][moment] for moment in ("mean", "var"))
        scale, bias = (self.params[name][part] for part in ("scale", "bias"))
        return (x - mean) / jnp.sqrt(variance + 1e-5) * scale + bias

    def projection(self, x, strides=1):
        return self.norm("projection_norm", self.conv("projection", x, strides))

    def basic(self, x, strides=1, halve=lambda y: y):
        y = jax.nn.relu(self.norm("BatchNorm_0", self.conv("Conv_0", x, strides)))
        return self.norm("BatchNorm_1", self.conv("Conv_1", halve(y)))

    def bottleneck(self, x, strides=1, halve=lambda y: y):
        y = jax.nn.relu(self.norm("BatchNorm_0", self.conv("Conv_0", x)))
        y = jax.nn.relu(self.norm("BatchNorm_1", self.conv("Conv_1", y, strides)))
        return self.norm("BatchNorm_2", self.conv("Conv_2", halve(y)))


@BLOCKS
@pytest.mark.parametrize("pool", [None, "max_pool"])
def test_it_equals_the_sum_written_out(block, pool, x):
    layer = block(5, 2, pool=pool)
    variables = any_variables(layer, x)
    reference = Reference(variables)
    branch = reference.basic if block is BasicBlock else reference.bottleneck
    if pool is None:
        y = branch(x, 2) + reference.projection(x, 2)
    else:
        y = branch(x, halve=halve) + reference.projection(halve(x))
    got = layer.apply(variables, x)
    np.testing.assert_allclose(got, jax.nn.relu(y), rtol=1e-4, atol=1e-4)


@BLOCKS
def test_without_subsampling_it_equals_the_sum_written_out(block):
    x = normal((2, 5, 4, 8))
    layer = block(8 // width(block, 1))
    variables = any_variables(layer, x)
    reference = Reference(variables)
    branch = reference.basic if block is BasicBlock else reference.bottleneck
    got = layer.apply(variables, x)
    wanted = jax.nn.relu(x + branch(x))
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pool", [None, "max_pool"])
@pytest.mark.parametrize("features", [10, 11])
def test_option_a_subsamples_and_adds_zero_channels_on_both_sides(features, pool, x):
    x = jnp.abs(x)
    layer = BasicBlock(features, 2, "pad", pool)
    variables = any_variables(layer, x)
    # With the last scale and bias at 0, the shortcut alone is left.
    last = variables["params"]["BatchNorm_1"]
    variables["params"]["BatchNorm_1"] = jax.tree.map(jnp.zeros_like, last)
    got = np.asarray(layer.apply(variables, x))
    before = (features - 4) // 2
    subsampled = x[:, ::2, ::2] if pool is None else halve(x)
    np.testing.assert_array_equal(got[..., before : before + 4], subsampled)
    assert not got[..., :before].any()
    assert not got[..., before + 4 :].any()


@BLOCKS
def test_training_normalises_by_the_batch_and_moves_the_statistics(block, x):
    layer = block(5, 2)
    variables = any_variables(layer, x)
    got, updated = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    mapped = convolve(x, variables["params"]["projection"]["kernel"], strides=2)
    for moment, value in (
        ("mean", mapped.mean((0, 1, 2))),
        ("var", mapped.var((0, 1, 2))),
    ):
        old = variables["batch_stats"]["projection_norm"][moment]
        new = updated["batch_stats"]["projection_norm"][moment]
        np.testing.assert_allclose(new, 0.9 * old + 0.1 * value, rtol=1e-4)
    assert not np.allclose(got, layer.apply(variables, x))


@BLOCKS
def test_evaluation_leaves_the_statistics_alone(block, x):
    layer = block(5, 2)
    variables = any_variables(layer, x)
    _, updated = layer.apply(variables, x, mutable=["batch_stats"])
    jax.tree.map(
        np.testing.assert_array_equal, updated["batch_stats"], variables["batch_stats"]
    )


def test_a_pool_that_draws_does_so_on_both_paths(x):
    layer = BasicBlock(5, 2, "pad", "stochastic_pool")
    variables = any_variables(layer, x)

    @jax.jit
    def draw(variables, seed):
        rngs = {"pool": jax.random.key(seed)}
        apply = functools.partial(layer.apply, train=True, mutable=["batch_stats"])
        return apply(variables, x, rngs=rngs)[0]

    np.testing.assert_array_equal(draw(variables, 0), draw(variables, 0))
    assert (draw(variables, 0) != draw(variables, 1)).any()
    # Without the branch, the shortcut still draws.
    last = variables["params"]["BatchNorm_1"]
    variables["params"]["BatchNorm_1"] = jax.tree.map(jnp.zeros_like, last)
    assert (draw(variables, 0) != draw(variables, 1)).any()
