"""Blocks that activate before they convolve, against the same sums written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnlab.layers import PreactivationBlock, PreactivationBottleneck
from cnnlab.ops import pools

BLOCKS = pytest.mark.parametrize("block", [PreactivationBlock, PreactivationBottleneck])


def begun(layer, x):
    """Variables at random, so that no scale is 1 and no mean 0."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(layer.init, jax.random.key(0), x)
    drawn = jax.tree.map(lambda leaf: rng.uniform(0.2, 1, leaf.shape), shapes)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), drawn)


def normal(shape):
    values = np.random.default_rng(0).normal(size=shape)
    return jnp.asarray(values, jnp.float32)


def reference(block, variables, x, strides, halve):
    """The block in evaluation, as the paper's figure 1 (b) has it."""
    params, stats = variables["params"], variables["batch_stats"]

    def conv(name, x, strides=1):
        kernel = params[name]["kernel"]
        pads = [(size // 2, size // 2) for size in kernel.shape[:2]]
        numbers = ("NHWC", "HWIO", "NHWC")
        steps = (strides, strides)
        return lax.conv_general_dilated(x, kernel, steps, pads, None, None, numbers)

    def activated(name, x):
        mean, variance = stats[name]["mean"], stats[name]["var"]
        scale, bias = params[name]["scale"], params[name]["bias"]
        return jax.nn.relu((x - mean) / jnp.sqrt(variance + 1e-5) * scale + bias)

    own = 1 if halve else strides
    keep = halve or (lambda x: x)
    active = activated("BatchNorm_0", x)
    if block is PreactivationBlock:
        y = keep(activated("BatchNorm_1", conv("Conv_0", active, own)))
        y = conv("Conv_1", y)
    else:
        y = activated("BatchNorm_1", conv("Conv_0", active))
        y = keep(activated("BatchNorm_2", conv("Conv_1", y, own)))
        y = conv("Conv_2", y)
    shortcut = x
    if "projection" in params:
        shortcut = conv("projection", keep(active), own)
    return y + shortcut


@BLOCKS
@pytest.mark.parametrize("features, strides", [(2, 2), (2, 1), (8, 1), (8, 2)])
@pytest.mark.parametrize("pool", [None, "max_pool"])
def test_it_equals_the_sum_written_out(block, features, strides, pool):
    x = normal((2, 6, 8, 8))
    layer = block(features, strides, pool=pool)
    variables = begun(layer, x)
    halve = (lambda x: pools[pool](x, 2, 2)) if pool and strides > 1 else None
    wanted = reference(block, variables, x, strides, halve)
    got = layer.apply(variables, x)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@BLOCKS
def test_a_shortcut_that_fits_is_the_map_itself(block):
    x = normal((2, 4, 4, 8))
    layer = block(8 if block is PreactivationBlock else 2)
    variables = layer.init(jax.random.key(0), x)
    still = jax.tree.map(jnp.zeros_like, variables)
    still["batch_stats"] = variables["batch_stats"]
    np.testing.assert_array_equal(layer.apply(still, x), x)


@BLOCKS
def test_option_a_has_no_projection(block):
    x = normal((2, 4, 4, 8))
    params = block(8, 2, "pad").init(jax.random.key(0), x)["params"]
    assert "projection" not in params
