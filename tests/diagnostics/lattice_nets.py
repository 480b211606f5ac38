"""Small networks of two levels, of which the exact shifts can be told by hand."""

import functools

import jax
import jax.numpy as jnp
from jax import ShapeDtypeStruct

from cnnlab.ops import pools
from cnnlab.ops.convolution import conv
from cnnlab.ops.pool_definition import weights_of

CHANNELS = 4


def shape(*sizes):
    return ShapeDtypeStruct(sizes, jnp.float32)


def parameters():
    kernels = [shape(3, 3, 1, CHANNELS), *[shape(3, 3, CHANNELS, CHANNELS)] * 2]
    return {"kernels": kernels, "biases": [shape(CHANNELS)] * 3}


def image(side=16):
    return shape(1, side, side, 1)


def two_levels(parameters, x, *, pool, third=True, head=jnp.mean, boundary="circular"):
    """Convolution, ReLU and `pool` twice, a third convolution and ReLU, and a head.

    Args:
        pool: a function of a map; None means that the convolutions have the strides.
    """
    for level in range(2 + third):
        kernel, bias = (parameters[name][level] for name in ("kernels", "biases"))
        strides = 2 if pool is None and level < 2 else 1
        x = jax.nn.relu(conv(x, kernel, strides, boundary=boundary) + bias)
        if pool is not None and level < 2:
            x = pool(x)
    return head(x, axis=(1, 2))


def halving(spec, boundary="circular"):
    """That pool at stride 2, on a window that is centred where it has a centre.

    Weights that it learns are drawn: where they start, they may see nothing.
    """
    name = spec.partition("(")[0]
    window = 3 if name in ("blur_pool", "adaptive_blur_pool") else 2
    pool = pools.resolve(spec)
    drawn = {
        name: jax.random.randint(jax.random.key(1), initial.shape, -2, 3) / 4.0
        for name, initial in weights_of(pool, window, CHANNELS).items()
    }
    return functools.partial(
        pool,
        window_shape=window,
        strides=2,
        padding="SAME",
        boundary=boundary,
        **drawn,
    )
