"""Depthwise and separable convolution against `conv` with the kernel that they mean."""

import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from jax import export

from cnnlab.ops.convolution import conv
from cnnlab.ops.separable_convolution import depthwise_conv, separable_conv

# (shape of the map, window, multiplier, keywords)
CASES = {
    "defaults": ((2, 5, 4, 3), (3, 3), 1, {}),
    "multiplied": ((1, 5, 4, 3), (3, 2), 2, {"strides": (2, 1), "padding": "VALID"}),
    "dilated": ((1, 6, 7, 2), (2, 3), 3, {"dilation": (2, 3), "strides": 2}),
    "full": ((1, 3, 4, 2), (2, 3), 1, {"padding": "FULL", "boundary": "reflect"}),
    "circular": ((1, 5, 6, 2), (3, 4), 2, {"boundary": "circular", "strides": 2}),
    "one_axis": ((2, 9, 3), (4,), 2, {"boundary": "edge"}),
    "three_axes": ((1, 3, 4, 3, 2), (2, 1, 3), 1, {"strides": (1, 2, 2)}),
    "no_batch": ((5, 4, 2), (3, 3), 1, {}),
    "three_batch_axes": ((2, 1, 2, 4, 4, 2), (2, 2), 1, {"padding": 1}),
}
FEATURES = 4


def _operands(case, dtype=jnp.float32):
    """A map, a depthwise and a pointwise kernel, keywords."""
    shape, window, multiplier, options = CASES[case]
    between = shape[-1] * multiplier
    ones = (1,) * len(window)
    shapes = shape, (*window, 1, between), (*ones, between, FEATURES)
    rng = np.random.default_rng(0)
    arrays = [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]
    return *arrays, options


@pytest.mark.parametrize("case", CASES)
def test_depthwise_convolves_every_channel_alone(case):
    x, kernel, _, options = _operands(case)
    got = depthwise_conv(x, kernel, **options)
    channels = x.shape[-1]
    multiplier = kernel.shape[-1] // channels
    for c, m in itertools.product(range(channels), range(multiplier)):
        feature = c * multiplier + m
        one_filter = kernel[..., feature : feature + 1]
        wanted = references.conv(x[..., c : c + 1], one_filter, **options)
        np.testing.assert_allclose(
            got[..., feature : feature + 1], wanted, rtol=1e-4, atol=1e-5
        )
    assert got.shape == (*wanted.shape[:-1], channels * multiplier)


@pytest.mark.parametrize("case", CASES)
def test_separable_is_the_convolution_with_the_product_kernel(case):
    with jax.enable_x64(True):
        x, depthwise, pointwise, options = _operands(case, jnp.float64)
        channels = x.shape[-1]
        filters = depthwise.reshape(*depthwise.shape[:-2], channels, -1)
        mix = pointwise.reshape(channels, -1, FEATURES)
        product = jnp.einsum("...cm,cmo->...co", filters, mix)
        got = separable_conv(x, depthwise, pointwise, **options)
        assert got.dtype == jnp.float64
        np.testing.assert_allclose(got, conv(x, product, **options), atol=1e-12)


def test_gradients_are_those_of_the_product_kernel():
    def separable(x, depthwise, pointwise):
        return separable_conv(x, depthwise, pointwise, 2, boundary="circular")

    def whole(x, depthwise, pointwise):
        filters = depthwise.reshape(*depthwise.shape[:-2], x.shape[-1], -1)
        mix = pointwise.reshape(x.shape[-1], -1, FEATURES)
        kernel = jnp.einsum("...cm,cmo->...co", filters, mix)
        return conv(x, kernel, 2, boundary="circular")

    def derivatives(function, arrays, tangents):
        def loss(*arrays):
            return jnp.sin(function(*arrays)).sum()

        gradient = jax.grad(loss, (0, 1, 2))
        return jax.jvp(gradient, arrays, tangents)

    with jax.enable_x64(True):
        *arrays, _ = _operands("circular", jnp.float64)
        arrays, tangents = tuple(arrays), tuple(map(jnp.flip, arrays))
        both = (derivatives(f, arrays, tangents) for f in (separable, whole))
        for got, wanted in zip(*map(jax.tree.leaves, both), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


def test_transformations_change_nothing():
    x, depthwise, pointwise, _ = _operands("multiplied")
    maps = jnp.stack([x, 2 - x])

    def apply(x):
        return separable_conv(x, depthwise, pointwise, 2)

    wanted = apply(maps)
    with jax.disable_jit():
        eager = apply(maps)
    for got in jax.jit(apply)(maps), jax.vmap(apply)(maps), eager:
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_summed_in_float32(dtype):
    large = 2.0 ** (jnp.finfo(dtype).nmant + 1)
    x = jnp.ones((1, 40, 2), dtype).at[0, 0].set(large)
    out = depthwise_conv(x, jnp.ones((40, 1, 2), dtype), padding="VALID")
    assert out.dtype == dtype
    wanted = jnp.asarray(large + 39, jnp.float32).astype(dtype)
    np.testing.assert_array_equal(out, wanted)
    assert wanted != large


def test_is_traced_as_its_two_convolutions():
    x, depthwise, pointwise, _ = _operands("multiplied")
    apply = functools.partial(separable_conv, strides=2, boundary="edge")
    first, second = jax.make_jaxpr(apply)(x, depthwise, pointwise).eqns
    assert first.params["name"] == (
        "conv(window_shape=(3, 2), strides=(2, 2), padding=((1, 1), (0, 0)), "
        "boundary='edge', groups=3)"
    )
    assert second.params["name"] == (
        "conv(window_shape=(1, 1), strides=(1, 1), padding=((0, 0), (0, 0)), "
        "boundary='zero', groups=1)"
    )


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_value_and_gradients_export(dtype):
    def value_and_gradients(*arrays):
        out, pull = jax.vjp(lambda *a: separable_conv(*a, 2), *arrays)
        return out, pull(out)

    *arrays, _ = _operands("multiplied", dtype)
    platforms = ("cpu", "cuda", "tpu")
    exporter = export.export(jax.jit(value_and_gradients), platforms=platforms)
    assert exporter(*arrays).platforms == platforms


X, DEPTHWISE, POINTWISE = (
    jnp.ones(s) for s in ((2, 5, 4, 3), (3, 3, 1, 6), (1, 1, 6, 4))
)
BAD = [
    # (depthwise kernel, pointwise kernel, keywords, error, message)
    (
        DEPTHWISE[..., :4],
        POINTWISE[..., :4, :],
        {},
        ValueError,
        "depthwise kernel of shape (3, 3, 1, 4) must be [*window, 1, a multiple of the "
        "map's 3 channels]",
    ),
    (
        DEPTHWISE.reshape(3, 3, 3, 2),
        POINTWISE[..., :2, :],
        {},
        ValueError,
        "depthwise kernel of shape (3, 3, 3, 2) must be [*window, 1, a multiple",
    ),
    (
        DEPTHWISE,
        POINTWISE[..., :5, :],
        {},
        ValueError,
        "pointwise kernel of shape (1, 1, 5, 4) must be (1, 1, 6, features)",
    ),
    (
        DEPTHWISE,
        POINTWISE[0],
        {},
        ValueError,
        "pointwise kernel of shape (1, 6, 4) must be (1, 1, 6, features)",
    ),
    (
        DEPTHWISE,
        jnp.ones((3, 1, 6, 4)),
        {},
        ValueError,
        "pointwise kernel of shape (3, 1, 6, 4) must be (1, 1, 6, features)",
    ),
    (DEPTHWISE[0, 0, 0], POINTWISE, {}, ValueError, "depthwise kernel of shape (6,)"),
    (
        DEPTHWISE[0, 0],
        POINTWISE[0, 0],
        {},
        ValueError,
        "kernel of shape (1, 6) must have 1 to 3 spatial axes and two of channels",
    ),
    (DEPTHWISE.astype(int), POINTWISE, {}, TypeError, "got float32 and int32"),
    ([[1.0]], POINTWISE, {}, TypeError, "the kernel must be an array, got list"),
    (
        DEPTHWISE,
        [[1.0]],
        {},
        TypeError,
        "the pointwise kernel must be an array, got list",
    ),
    (
        DEPTHWISE,
        POINTWISE.astype(jnp.bfloat16),
        {},
        TypeError,
        "got float32 and bfloat16",
    ),
    (DEPTHWISE, POINTWISE, {"strides": 0}, ValueError, "strides (0, 0) must be at"),
    (DEPTHWISE, POINTWISE, {"padding": "same"}, ValueError, "unknown padding 'same'"),
    (
        DEPTHWISE,
        POINTWISE,
        {"boundary": "x"},
        ValueError,
        "unknown boundary 'x'; choose",
    ),
    (
        DEPTHWISE,
        POINTWISE,
        {"padding": "VALID", "dilation": 3},
        ValueError,
        "kernel (7, 7) exceeds the padded map (5, 4)",
    ),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("depthwise", "pointwise", "options", "error", "message"), BAD)
def test_bad_input_is_answered_with_one_line(
    depthwise, pointwise, options, error, message
):
    with pytest.raises(error, match=re.escape(message)) as caught:
        jax.eval_shape(lambda: separable_conv(X, depthwise, pointwise, **options))
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([[1.0]], TypeError, "the map must be an array, got list"),
        (jnp.ones(()), ValueError, "a multiple of the map's 0 channels"),
        (X[..., :0], ValueError, "a multiple of the map's 0 channels"),
    ],
)
def test_a_bad_map_is_answered_with_one_line(x, error, message):
    for function in (
        lambda x: depthwise_conv(x, DEPTHWISE),
        lambda x: separable_conv(x, DEPTHWISE, POINTWISE),
    ):
        with pytest.raises(error, match=message) as caught:
            function(x)
        assert "\n" not in str(caught.value)


def test_no_examples_give_none():
    x = jnp.zeros((0, 5, 4, 3))

    @jax.jit
    def value_and_gradients(x, depthwise, pointwise):
        out, pull = jax.vjp(separable_conv, x, depthwise, pointwise)
        return out, pull(out)

    out, gradients = value_and_gradients(x, DEPTHWISE, POINTWISE)
    assert out.shape == (0, 5, 4, POINTWISE.shape[-1])
    for gradient, of in zip(gradients, (x, DEPTHWISE, POINTWISE), strict=True):
        np.testing.assert_array_equal(gradient, jnp.zeros_like(of))
