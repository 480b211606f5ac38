"""Products of operators, in closed form."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from cnnlab import ops
from cnnlab.diagnostics.multiply_accumulates import total
from cnnlab.diagnostics.program import trace
from cnnlab.ops import im2col, pools, unpooling

N, H, W, C = 2, 12, 10, 6
OUT = N * 6 * 5 * C  # entries of a 3x3 pool's result at stride 2 with one pixel around


def of(function, *shapes):
    args = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return total(trace(function, *args))


POOLS = {
    "max_pool": 0,
    "avg_pool": 0,
    "lp_pool": 0,
    "stochastic_pool": 0,
    "soft_pool": 0,
    "mixed_pool": 0,
    "median_pool": 0,
    "blur_pool": OUT * 9,
    "max_blur_pool": OUT * 9,
    "avg_blur_pool": OUT * 9,
    "gated_pool": OUT * 9,
    "lip_pool": N * H * W * C * C,
    # Logits of nine taps for as many groups as divide both 6 and 8, and the filter.
    "adaptive_blur_pool": N * 6 * 5 * 9 * C * (2 * 9) + OUT * 9,
    # One axis after the other, rows first.
    "spectral_pool": N * 6 * W * C * H + N * 6 * 5 * C * W,
    "adaptive_polyphase": 0,
    # The scores of eight features, three by three.
    "learned_polyphase": N * H * W * C * 9 * 8,
}


@pytest.mark.parametrize("name", POOLS)
def test_pools(name):
    pool = functools.partial(
        pools[name], window_shape=3, strides=2, padding=((1, 1), (1, 1))
    )
    assert of(pool, (N, H, W, C)) == POOLS[name]


@pytest.mark.parametrize("filter_size, taps", [(2, 4), ((1, 5), 5)])
def test_filters_of_other_sizes(filter_size, taps):
    pool = functools.partial(ops.max_blur_pool, filter_size=filter_size)
    assert of(lambda x: pool(x, 2, 2), (N, H, W, C)) == N * 6 * 5 * C * taps


CONVOLUTIONS = {
    "plain": (ops.conv, (3, 5, C, 8), N * H * W * 8 * 15 * C),
    "strided": (
        functools.partial(ops.conv, strides=2),
        (3, 3, C, 8),
        N * 6 * 5 * 8 * 9 * C,
    ),
    "grouped": (
        functools.partial(ops.conv, groups=3),
        (3, 3, 2, 9),
        N * H * W * 9 * 9 * 2,
    ),
    "depthwise": (ops.depthwise_conv, (3, 3, 1, 2 * C), N * H * W * 2 * C * 9),
    "transposed": (
        functools.partial(ops.conv_transpose, strides=2),
        (3, 3, 8, C),
        N * H * W * C * 9 * 8,
    ),
    "blurred": (
        functools.partial(ops.conv_blur, strides=2),
        (3, 3, C, 8),
        # The convolution gives the size that its strides would halve.
        N * 11 * 9 * 8 * 9 * C + N * 6 * 5 * 8 * 9,
    ),
    "im2col": (im2col.conv_im2col, (3, 3, C, 8), N * H * W * 8 * 9 * C),
    "in a circle": (
        functools.partial(ops.conv, boundary="circular"),
        (3, 3, C, 8),
        N * H * W * 8 * 9 * C,
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name):
    function, kernel, expected = CONVOLUTIONS[name]
    assert of(function, (N, H, W, C), kernel) == expected


def test_holes_of_a_transposed_convolution_are_not_counted():
    def function(x, kernel):
        return lax.conv_transpose(
            x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    assert of(function, (N, H, W, C), (3, 3, C, 8)) == N * H * W * C * 9 * 8


@pytest.mark.parametrize("lowering", ["auto", "lax", "im2col"])
def test_gradients_cost_what_the_convolution_does(lowering):
    conv = functools.partial(ops.conv, lowering=lowering)

    def gradients(x, kernel, cotangent):
        return jax.vjp(conv, x, kernel)[1](cotangent)

    shapes = (N, H, W, C), (3, 3, C, 8), (N, H, W, 8)
    assert of(gradients, *shapes) == 2 * of(conv, *shapes[:2])


def test_vmap_multiplies():
    many = jax.vmap(ops.conv, in_axes=(2, 0))
    shapes = (N, H, 5, W, C), (5, 3, 3, C, 8)
    assert of(many, *shapes) == 5 * N * H * W * 8 * 9 * C


def test_products_of_matrices():
    def function(a, b):
        return jnp.einsum("bij,bjk->bik", a, b)

    assert of(function, (4, 5, 6), (4, 6, 7)) == 4 * 5 * 6 * 7


def test_entrywise_work_is_free():
    def function(x):
        y = jax.nn.softmax(ops.local_response_norm(x) * x + jnp.tanh(x))
        switches = unpooling.max_pool_with_switches(y, 2, 2)
        return unpooling.max_unpool(*switches, (H, W), 2, 2).sum()

    assert of(function, (N, H, W, C)) == 0
