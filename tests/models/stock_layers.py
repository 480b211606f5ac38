"""Layers of stock lax on a model's parameters: references for the networks' tests."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

# Compiling a whole network takes far longer here than running it.
fast_compile = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def conv(x, params, strides, padding):
    """A convolution with a bias and a ReLU, padded alike on all sides."""
    numbers = ("NHWC", "HWIO", "NHWC")
    pads = [(padding, padding)] * 2
    x = lax.conv_general_dilated(
        x, params["kernel"], (strides, strides), pads, dimension_numbers=numbers
    )
    return jax.nn.relu(x + params["bias"])


def max_pool(x, window, strides, low, high):
    """A maximum, padded by `low` entries before and `high` after."""
    pads = ((0, 0), (low, high), (low, high), (0, 0))
    shape, steps = (1, window, window, 1), (1, strides, strides, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, shape, steps, pads)


def random_variables(model, x, seed=0):
    """The model's variables, none of them zero."""
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), x))
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    leaves = [_random(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(tree, leaves)


def _random(key, shape):
    """Of He's variance for a kernel, else positive and near 1 (variances, scales)."""
    if len(shape) < 2:
        return jax.random.uniform(key, shape, minval=0.5, maxval=1.5)
    return nn.initializers.he_normal()(key, shape)
