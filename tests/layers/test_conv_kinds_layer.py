"""Transposed, depthwise and separable convolution as layers, against Flax's own."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.layers.conv import Conv
from cnnlab.layers.conv_transpose import ConvTranspose
from cnnlab.layers.separable_conv import DepthwiseConv, SeparableConv
from cnnlab.ops.convolution import conv
from cnnlab.ops.separable_convolution import separable_conv
from cnnlab.ops.transposed_convolution import conv_transpose

# The shape of the map, and the same layer written for ours and for Flax's.
TRANSPOSED = {
    "defaults": ((2, 4, 5, 3), {}, {}),
    "strides": ((2, 4, 5, 3), {"strides": (2, 3)}, {"strides": (2, 3)}),
    "valid": (
        (2, 4, 3, 2),
        {"strides": 3, "padding": "VALID"},
        {"strides": 3, "padding": "VALID"},
    ),
    "kept transposed": (
        (2, 4, 5, 3),
        {"strides": 2, "transpose_kernel": True},
        {"strides": 2, "transpose_kernel": True},
    ),
    "circular": (
        (1, 4, 5, 2),
        {
            "strides": 2,
            "padding": ((1, 1), (0, 1)),
            "boundary": "circular",
            "output_shape": (8, 10),
            "transpose_kernel": True,
        },
        {"strides": 2, "padding": "CIRCULAR", "transpose_kernel": True},
    ),
    "dilation": (
        (1, 4, 5, 2),
        {"strides": 2, "dilation": (2, 3)},
        {"strides": 2, "kernel_dilation": (2, 3)},
    ),
    "no bias": ((2, 4, 5, 2), {"use_bias": False}, {"use_bias": False}),
    "half precision": (
        (2, 4, 5, 2),
        {"dtype": jnp.bfloat16},
        {"dtype": jnp.bfloat16},
    ),
    "no batch": ((4, 5, 2), {}, {}),
    "two batch axes": ((2, 3, 4, 5, 2), {}, {}),
}
GROUPED = {
    "defaults": ((2, 7, 6, 3), {}, {}),
    "strided and dilated": (
        (2, 7, 6, 3),
        {"strides": (2, 1), "dilation": 2},
        {"strides": (2, 1), "kernel_dilation": 2},
    ),
    "circular": ((2, 6, 5, 2), {"boundary": "circular"}, {"padding": "CIRCULAR"}),
    "explicit": ((2, 6, 5, 2), {"padding": ((2, 0), 1)}, {"padding": ((2, 0), 1)}),
    "no bias": ((6, 5, 2), {"use_bias": False}, {"use_bias": False}),
}
BOUNDARIES = pytest.mark.parametrize(
    "boundary", ["zero", "circular", "reflect", "edge"]
)
PADDINGS = pytest.mark.parametrize("padding", ["SAME", "VALID", "FULL"])
AXES = pytest.mark.parametrize(
    ("shape", "size"), [((2, 7, 4), (3,)), ((1, 4, 5, 6, 2), (2, 3, 2))], ids=["1", "3"]
)


def normal(shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return jnp.asarray(values, jnp.float32)


def assert_alike(ours, theirs, x):
    """Both begin with the same parameters, and with any give the same map."""
    variables = ours.init(jax.random.key(1), x)
    begun = theirs.init(jax.random.key(1), x)
    assert jax.tree.structure(variables) == jax.tree.structure(begun)
    jax.tree.map(np.testing.assert_array_equal, variables, begun)

    # The bias begins at 0, where it would not be seen.
    variables = jax.tree.map(lambda leaf: leaf + 0.5, variables)
    got, wanted = ours.apply(variables, x), theirs.apply(variables, x)
    assert got.dtype == wanted.dtype
    tolerance = 16 * float(jnp.finfo(got.dtype).eps)
    scale = float(jnp.abs(wanted).max())
    np.testing.assert_allclose(
        got.astype(jnp.float32), wanted.astype(jnp.float32), atol=tolerance * scale
    )


@pytest.mark.parametrize("case", TRANSPOSED)
def test_transposed_equals_flax(case):
    shape, ours, theirs = TRANSPOSED[case]
    assert_alike(
        ConvTranspose(4, (3, 2), **ours),
        nn.ConvTranspose(4, (3, 2), **theirs),
        normal(shape),
    )


@AXES
def test_transposed_over_one_and_three_axes_equals_flax(shape, size):
    assert_alike(
        ConvTranspose(4, size, strides=2),
        nn.ConvTranspose(4, size, strides=(2,) * len(size)),
        normal(shape),
    )


@pytest.mark.parametrize("case", GROUPED)
def test_depthwise_equals_flax_in_groups(case):
    shape, ours, theirs = GROUPED[case]
    groups = shape[-1]
    assert_alike(
        DepthwiseConv((3, 2), multiplier=2, **ours),
        nn.Conv(2 * groups, (3, 2), feature_group_count=groups, **theirs),
        normal(shape),
    )


@pytest.mark.slow
@BOUNDARIES
@PADDINGS
def test_conv_and_its_transpose_undo_each_others_shape(boundary, padding):
    x = normal((2, 6, 7, 4))
    options = dict(strides=2, padding=padding, groups=2, boundary=boundary)
    down = Conv(6, 3, **options)
    variables = down.init(jax.random.key(0), x)
    small = down.apply(variables, x)
    up = ConvTranspose(
        4, 3, **options, output_shape=(6, 7), transpose_kernel=True, use_bias=False
    )
    begun = up.init(jax.random.key(0), small)
    kernel = variables["params"]["kernel"]
    assert begun["params"]["kernel"].shape == kernel.shape
    # With the same kernel it is the gradient.
    _, pull = jax.vjp(lambda x: down.apply(variables, x), x)
    got = up.apply({"params": {"kernel": kernel}}, small)
    np.testing.assert_allclose(got, pull(small)[0], rtol=1e-4, atol=1e-5)


def test_either_way_of_keeping_a_grouped_kernel_gives_the_same_map():
    x = normal((2, 4, 5, 6))
    layer = ConvTranspose(4, (3, 2), strides=2, groups=2, use_bias=False)
    kernel = layer.init(jax.random.key(0), x)["params"]["kernel"]
    assert kernel.shape == (3, 2, 3, 4)
    parts = [
        conv_transpose(
            x[..., 3 * g : 3 * g + 3],
            jnp.flip(kernel[..., 2 * g : 2 * g + 2], (0, 1)).swapaxes(-1, -2),
            2,
        )
        for g in (0, 1)
    ]
    got = layer.apply({"params": {"kernel": kernel}}, x)
    np.testing.assert_allclose(got, jnp.concatenate(parts, -1), rtol=1e-5, atol=1e-5)


@AXES
def test_separable_is_the_operator_and_a_bias(shape, size):
    x = normal(shape)
    layer = SeparableConv(5, size, multiplier=2, strides=2, boundary="reflect")
    variables = layer.init(jax.random.key(0), x)
    variables = jax.tree.map(lambda leaf: leaf + 0.5, variables)
    params = variables["params"]
    assert set(params) == {"depthwise_kernel", "pointwise_kernel", "bias"}
    kernels = params["depthwise_kernel"], params["pointwise_kernel"]
    wanted = separable_conv(x, *kernels, 2, boundary="reflect") + 0.5
    np.testing.assert_allclose(layer.apply(variables, x), wanted, rtol=1e-5)


def test_separable_begins_with_the_variance_of_its_input():
    # Each of the two kernels has the fan-in of its own sums.
    x = normal((16, 16, 16, 32))
    layer = SeparableConv(64, 3, padding="VALID", boundary="circular")
    out, _ = layer.init_with_output(jax.random.key(0), x)
    assert 0.7 < float(out.std()) < 1.4


@BOUNDARIES
@PADDINGS
def test_conv_hands_boundary_and_padding_to_the_operator(boundary, padding):
    x = normal((1, 5, 4, 2))
    layer = Conv(3, 3, padding=padding, boundary=boundary, use_bias=False)
    variables = layer.init(jax.random.key(0), x)
    kernel = variables["params"]["kernel"]
    wanted = conv(x, kernel, padding=padding, boundary=boundary)
    np.testing.assert_array_equal(layer.apply(variables, x), wanted)


@pytest.mark.parametrize(
    "layer",
    [
        ConvTranspose(4, 3, strides=2),
        DepthwiseConv(3, multiplier=2),
        SeparableConv(4, 3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_every_parameter_learns(layer):
    x = normal((2, 4, 5, 3))
    variables = layer.init(jax.random.key(0), x)

    def loss(variables):
        return jnp.square(layer.apply(variables, x) - 1).mean()

    for gradient in jax.tree.leaves(jax.jit(jax.grad(loss))(variables)):
        assert np.all(np.isfinite(gradient)) and np.any(gradient != 0)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            ConvTranspose(4, 3, groups=2),
            "groups 2 does not divide 3 channels and 4 features",
        ),
        (
            ConvTranspose(4, 3, groups=0),
            "groups 0 must be at least 1",
        ),
        (DepthwiseConv(3, multiplier=0), "multiplier 0 must be at least 1"),
        (SeparableConv(4, 3, multiplier=-1), "multiplier -1 must be at least 1"),
        (ConvTranspose(4, 3, strides=0), "strides (0, 0) must be at least 1"),
        (SeparableConv(4, (3, 0)), "kernel_size (3, 0) must be at least 1 everywhere"),
        (Conv(4, (3, 0)), "kernel_size (3, 0) must be at least 1 everywhere"),
        (Conv(4, 3, groups=0), "groups 0 must be at least 1"),
        (Conv(4, ()), "kernel_size () must have 1 to 3 entries"),
        (Conv(4, 3, lowering="fft"), "unknown lowering 'fft'; choose from auto"),
        (Conv(4, 3, boundary="wrap"), "unknown boundary 'wrap'; choose from zero"),
        (ConvTranspose(4, 3, padding="same"), "unknown padding 'same'; choose from"),
        (DepthwiseConv(3, boundary="wrap"), "unknown boundary 'wrap'"),
        (
            ConvTranspose(4, 3, strides=2, output_shape=9),
            "a convolution makes (5, 5) of the output_shape (9, 9)",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_does_not_fit_is_refused(layer, message):
    with pytest.raises(ValueError) as caught:
        jax.eval_shape(layer.init, jax.random.key(0), normal((1, 4, 4, 3)))
    assert message in str(caught.value)


SIZES = {
    "features": [Conv, ConvTranspose, SeparableConv],
    "groups": [Conv, ConvTranspose],
    "multiplier": [DepthwiseConv, SeparableConv],
}


@pytest.mark.parametrize(
    ("name", "layer"), [(name, layer) for name in SIZES for layer in SIZES[name]]
)
@pytest.mark.usefixtures("unchecked")
def test_sizes_that_are_no_counts_are_refused(name, layer):
    fields = {"kernel_size": 3} | ({} if layer is DepthwiseConv else {"features": 4})
    x = normal((1, 4, 4, 3))
    for value in 0, -1, 2.0, None, "4", True:
        below = type(value) is int
        wanted = "must be at least 1" if below else f"takes an integer, got {value!r}"
        bad = layer(**fields | {name: value})
        with pytest.raises(ValueError if below else TypeError) as caught:
            jax.eval_shape(bad.init, jax.random.key(0), x)
        assert name in str(caught.value) and wanted in str(caught.value)


@pytest.mark.parametrize(
    "layer", [Conv(4, 3), ConvTranspose(4, 3), DepthwiseConv(3), SeparableConv(4, 3)]
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_map_is_refused(layer):
    with pytest.raises(TypeError, match="the map must be an array, got list"):
        layer.init(jax.random.key(0), [[1.0]])
    for shape in (), (2, 4, 4, 0):
        with pytest.raises(ValueError, match="a layer needs a map with channels, got"):
            layer.init(jax.random.key(0), jnp.ones(shape))
