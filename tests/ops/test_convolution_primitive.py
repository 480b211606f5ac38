"""The primitive behind `conv`: it and all that JAX makes of it equal JAX's own."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from cnnlab.ops import conv, image_chunks, wide_convolution
from cnnlab.ops.contractions import stock_convolution
from cnnlab.ops.convolution_form import Form
from cnnlab.ops.convolution_primitive import convolve
from cnnlab.ops.strided_gradient import map_gradient_by_remainders

FORMS = {
    "asymmetric": Form((7, 6), (3, 2), (2, 1), ((1, 0), (0, 2)), (1, 1), 1),
    "dilated": Form((9, 8), (3, 3), (2, 3), ((1, 1), (1, 1)), (2, 1), 1),
    "groups": Form((6, 5), (3, 3), (1, 2), ((1, 1), (1, 1)), (1, 1), 2),
    "depthwise": Form((6, 5), (3, 2), (2, 1), ((1, 1), (0, 1)), (1, 2), 4),
    "rows unseen": Form((9, 9), (2, 2), (3, 4), ((0, 0), (0, 0)), (1, 1), 1),
    "one axis": Form((11,), (4,), (3,), ((0, 0),), (1,), 1),
    "three axes": Form((4, 3, 4), (2, 3, 1), (1, 2, 1), ((1, 1),) * 3, (1, 1, 1), 1),
}


def pulled(function):
    """The value, and the cotangents of map and kernel."""

    def all_three(x, kernel):
        out, pull = jax.vjp(function, x, kernel)
        return out, pull(jnp.cos(jnp.arange(out.size)).reshape(out.shape))

    return all_three


def second_order(function):
    """The gradient of a loss and its derivative along a direction."""
    gradient = jax.grad(lambda x, k: jnp.sin(function(x, k)).sum(), argnums=(0, 1))
    return lambda x, kernel: jax.jvp(gradient, (x, kernel), (x + 1, kernel - 1))


def copies(array, axis=0):
    return jnp.stack([array, 2 * array, 1 - array], axis)


TRANSFORMED = {
    "as it is": lambda f, x, k: f(x, k),
    "over maps": lambda f, x, k: jax.vmap(f, (0, None))(copies(x), k),
    "over kernels": lambda f, x, k: jax.vmap(f, (None, 0))(x, copies(k)),
    "over both": lambda f, x, k: jax.vmap(f, (0, 1))(copies(x), copies(k, 1)),
    "over both and one": lambda f, x, k: jax.vmap(jax.vmap(f), (None, 0))(
        copies(x), copies(copies(k))
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_equals_jax_under_vmap_and_transposition(form):
    assert_equals_jax(FORMS[form], pulled, TRANSFORMED)


@pytest.mark.parametrize("form", ["asymmetric", "groups"])
def test_second_derivatives_equal_those_of_jax(form):
    assert_equals_jax(FORMS[form], second_order, ("over kernels", "over both"))


def assert_equals_jax(form, derivative, names):
    rng = np.random.default_rng(0)

    def all_transformed(convolution, x, kernel):
        function = derivative(lambda x, k: convolution(x, k, form))
        return {name: TRANSFORMED[name](function, x, kernel) for name in names}

    with jax.enable_x64(True):
        x = jnp.asarray(rng.normal(size=(2, *form.spatial, 4)))
        kernel = jnp.asarray(rng.normal(size=(*form.window, 4 // form.groups, 8)))
        got, wanted = (
            jax.jit(all_transformed, static_argnums=0)(convolution, x, kernel)
            for convolution in (convolve, stock_convolution)
        )
    for name in names:
        for ours, theirs in zip(
            jax.tree.leaves(got[name]), jax.tree.leaves(wanted[name]), strict=True
        ):
            assert ours.dtype == jnp.float64
            np.testing.assert_allclose(
                ours, theirs, rtol=1e-10, atol=1e-10, err_msg=name
            )


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="is about CPUs alone")
@pytest.mark.parametrize("strides", [1, 2])
def test_inside_a_loop_a_cpu_gets_the_one_shape_that_its_kernels_know(strides):
    def loss(x, kernel, lowering):
        return jnp.sin(conv(x, kernel, strides, lowering=lowering)).sum()

    def shapes(lowering):
        def step(pair, _):
            gradients = jax.grad(loss, argnums=(0, 1))(*pair, lowering)
            return jax.tree.map(jnp.subtract, pair, gradients), None

        def many_steps(x, kernel):
            return jax.lax.scan(step, (x, kernel), length=3)[0]

        shaped = [
            jax.ShapeDtypeStruct(shape, jnp.float32)
            for shape in ((2, 8, 8, 4), (3, 3, 4, 5))
        ]
        program = jax.jit(many_steps).lower(*shaped).compile().as_text()
        return set(re.findall(r"dim_labels=(\w+_\w+->\w+)", program))

    assert shapes("auto") <= {"b01f_01io->b01f"}
    # Otherwise the line above would prove nothing.
    assert shapes("lax") - {"b01f_01io->b01f"}


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="is about CPUs alone")
@pytest.mark.parametrize(
    "form, channels, features",
    [
        (Form((26, 25), (3, 2), (1, 1), ((1, 1), (0, 1)), (1, 2), 1), 3, 64),
        (Form((24, 24), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1), 5, 4),
        (Form((6, 7), (3, 3), (2, 3), ((0, 1), (1, 1)), (1, 1), 1), 64, 3),
        (Form((9,), (3,), (2,), ((1, 0),), (1,), 1), 2, 64),
        # The kernel's gradient by rows.
        (Form((17, 16), (3, 2), (1, 1), ((1, 2), (0, 1)), (2, 1), 1), 16, 12),
        (Form((16, 18), (2, 3), (1, 1), ((0, 0), (1, 1)), (1, 2), 1), 6, 20),
    ],
)
def test_products_of_matrices_equal_jax(form, channels, features, monkeypatch):
    # So that several chunks of images are needed, and of equal size only one by one.
    monkeypatch.setattr(image_chunks, "LAID_OUT", 2**16)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(5, *form.spatial, channels)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(*form.window, channels, features)))
    kernel = kernel.astype(jnp.float32)

    def both(convolution):
        return jax.jit(pulled(lambda x, k: convolution(x, k, form)))(x, kernel)

    program = jax.jit(pulled(lambda x, k: convolve(x, k, form))).lower(x, kernel)
    assert "stablehlo.dot_general" in program.as_text()
    got, wanted = both(convolve), both(stock_convolution)
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        scale = jnp.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=3e-6)


@pytest.mark.parametrize(
    "form",
    [
        Form((6, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
        Form((6, 5), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
        Form((5, 6), (2, 4), (1, 1), ((2, 0), (1, 5)), (1, 2), 1),
        Form((4, 4), (2, 2), (1, 1), ((0, 1), (1, 0)), (2, 1), 1),
        Form((7, 7), (3, 3), (2, 2), ((1, 1), (1, 0)), (1, 1), 1),
        Form((8, 8), (2, 1), (1, 3), ((0, 0), (0, 0)), (1, 1), 1),
        Form((6, 9), (3, 2), (2, 3), ((0, 1), (2, 2)), (1, 2), 1),
        # More windows than columns.
        Form((6, 5), (1, 1), (1, 1), ((1, 1), (2, 1)), (1, 1), 1),
        Form((4, 4), (3, 1), (2, 2), ((3, 3), (1, 4)), (1, 1), 1),
    ],
)
def test_maps_side_by_side_do_not_meet(form, monkeypatch):
    # Few enough for several chunks.
    monkeypatch.setattr(wide_convolution, "_SEVERAL", 1)
    monkeypatch.setattr(image_chunks, "LAID_OUT", 2**9)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(5, *form.spatial, 3)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(*form.window, 3, 2)), jnp.float32)
    got = wide_convolution.convolve_side_by_side(x, kernel, form)
    wanted = stock_convolution(x, kernel, form)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="is about CPUs alone")
def test_small_maps_of_many_channels_lie_side_by_side_where_that_helps():
    def shapes(batch):
        shaped = jax.ShapeDtypeStruct((batch, 8, 8, 64), jnp.float32)
        kernel = jax.ShapeDtypeStruct((3, 3, 64, 64), jnp.float32)
        program = jax.jit(pulled(lambda x, k: conv(x, k, padding="SAME")))
        lowered = program.lower(shaped, kernel).as_text()
        return set(re.findall(r"convolution\(.*?-> tensor<(\w+)>", lowered))

    # Eight columns and one of zeros each.
    wide = "1x8x576x64xf32"
    assert (wide in shapes(64)) == (jax.__version_info__ < (0, 11))
    assert shapes(2) == {"2x8x8x64xf32"}


@pytest.mark.parametrize(
    "form",
    [
        Form((7, 6), (3, 3), (2, 2), ((1, 1), (0, 1)), (1, 1), 1),
        Form((9, 8), (2, 5), (3, 2), ((0, 0), (2, 2)), (1, 1), 1),
        # Windows that leave entries of the map unseen.
        Form((10, 7), (1, 2), (4, 3), ((0, 0), (1, 0)), (1, 1), 1),
        Form((11,), (4,), (3,), ((2, 1),), (1,), 1),
        Form((4, 5, 6), (2, 3, 2), (2, 1, 2), ((0, 1), (1, 1), (0, 0)), (1, 1, 1), 1),
    ],
)
def test_the_maps_gradient_by_remainders_equals_jax(form, monkeypatch):
    monkeypatch.setattr(image_chunks, "LAID_OUT", 2**9)
    rng = np.random.default_rng(0)
    x = jnp.zeros((5, *form.spatial, 3))
    kernel = jnp.asarray(rng.normal(size=(*form.window, 3, 2)), jnp.float32)
    y = jnp.asarray(rng.normal(size=(5, *form.output, 2)), jnp.float32)
    got = map_gradient_by_remainders(kernel, y, form, stock_convolution)
    _, pull = jax.vjp(lambda x: stock_convolution(x, kernel, form), x)
    np.testing.assert_allclose(got, pull(y)[0], rtol=1e-5, atol=1e-5)


def test_strided_gradients_do_not_spread_y():
    def program(channels):
        x = jax.ShapeDtypeStruct((2, 8, 8, channels), jnp.float32)
        kernel = jax.ShapeDtypeStruct((3, 3, channels, 64), jnp.float32)
        step = pulled(lambda x, k: conv(x, k, 2))
        return jax.jit(step).trace(x, kernel).lower(lowering_platforms=("cpu",))

    spread = re.compile("lhs_dilate = .2, 2.")
    assert not spread.search(program(64).as_text())
    # Otherwise the line above would prove nothing.
    assert spread.search(program(8).as_text())


def test_a_large_image_is_not_laid_out_whole():
    x = jax.ShapeDtypeStruct((1, 96, 96, 32), jnp.float32)
    kernel = jax.ShapeDtypeStruct((7, 7, 32, 32), jnp.float32)

    def temporary(lowering):
        step = pulled(lambda x, k: conv(x, k, padding="SAME", lowering=lowering))
        analysis = jax.jit(step).lower(x, kernel).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    assert temporary("auto") < 2 * temporary("lax")


def test_a_batch_of_a_size_to_be_known_later_is_exported(unchecked):
    (batch,) = export.symbolic_shape("batch")
    x = jax.ShapeDtypeStruct((batch, 8, 8, 64), jnp.float32)
    kernel = jax.ShapeDtypeStruct((3, 3, 64, 64), jnp.float32)
    for strides in 1, 2:
        step = jax.jit(pulled(lambda x, k, strides=strides: conv(x, k, strides)))
        exported = export.export(step, platforms=["cpu"])(x, kernel)
        images = np.ones((3, 8, 8, 64), np.float32)
        kernels = np.ones(kernel.shape, np.float32)
        got = exported.call(images, kernels)
        for ours, wanted in zip(
            jax.tree.leaves(got), jax.tree.leaves(step(images, kernels)), strict=True
        ):
            np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-4)
