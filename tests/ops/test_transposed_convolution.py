"""The transposed convolution is the adjoint of `conv`, on all of its geometries."""

import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from references import convolution_kinds as references

from cnnlab.ops.convolution import conv
from cnnlab.ops.transposed_convolution import conv_transpose

pytestmark = pytest.mark.usefixtures("quickly_compiled")

# (shape of the forward map, shape of the kernel, keywords)
CASES = {
    "defaults": ((2, 6, 5, 3), (3, 3, 3, 4), {}),
    "strided": ((2, 7, 6, 2), (3, 2, 2, 3), {"strides": (2, 3), "padding": "VALID"}),
    "gaps": ((1, 9, 8, 2), (1, 2, 2, 3), {"strides": 3, "padding": "VALID"}),
    "full": ((1, 4, 3, 2), (3, 2, 2, 2), {"padding": "FULL"}),
    "asymmetric": ((1, 5, 4, 2), (3, 2, 2, 3), {"padding": ((2, 0), (0, 1))}),
    "dilated": ((1, 8, 7, 2), (3, 2, 2, 3), {"dilation": (2, 3), "strides": 2}),
    "grouped": ((2, 5, 4, 6), (3, 3, 2, 9), {"groups": 3, "strides": 2}),
    "circular": ((1, 5, 6, 2), (3, 4, 2, 3), {"boundary": "circular"}),
    "reflect": ((1, 5, 6, 2), (3, 4, 2, 3), {"boundary": "reflect", "strides": 2}),
    "edge": ((1, 5, 6, 2), (3, 4, 2, 3), {"boundary": "edge", "dilation": 2}),
    "one_axis": ((2, 9, 3), (4, 3, 2), {"strides": 2}),
    "three_axes": ((1, 3, 4, 5, 2), (2, 2, 3, 2, 2), {"strides": (1, 2, 2)}),
    "one_pixel": ((1, 1, 1, 2), (3, 3, 2, 3), {}),
    "no_batch": ((5, 4, 2), (3, 3, 2, 3), {}),
    "three_batch_axes": ((2, 1, 2, 4, 4, 2), (2, 2, 2, 3), {"padding": 1}),
}


def _normal(shape, dtype=jnp.float32, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def _operands(case, dtype=jnp.float32):
    """A map of the forward convolution, a kernel, a map of its result, keywords."""
    shape, kernel_shape, options = CASES[case]
    y, kernel = _normal(shape, dtype), _normal(kernel_shape, dtype, 1)
    x = jax.eval_shape(functools.partial(conv, **options), y, kernel)
    spatial = shape[len(shape) - len(kernel_shape) + 1 : -1]
    return y, kernel, _normal(x.shape, dtype, 2), options, spatial


@functools.cache
def _results(case):
    """The operands, then the convolution, its adjoint, and the adjoint's gradients."""
    with jax.enable_x64(True):
        y, kernel, x, options, spatial = _operands(case, jnp.float64)

        @jax.jit
        def run(y, kernel, x):
            apply = functools.partial(conv_transpose, **options, output_shape=spatial)
            out, pull = jax.vjp(apply, x, kernel)
            return conv(y, kernel, **options), out, *pull(y)

        return jax.tree.map(np.asarray, ((y, kernel, x), run(y, kernel, x)))


@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference(case):
    _, kernel, x, options, spatial = _operands(case)
    got = jax.eval_shape(
        functools.partial(conv_transpose, **options, output_shape=spatial), x, kernel
    )
    (_, kernel, x), (_, out, *_) = _results(case)
    wanted = references.conv_transpose(x, kernel, spatial, **options)
    assert got.shape == wanted.shape and got.dtype == jnp.float32
    assert out.dtype == np.float64
    np.testing.assert_allclose(out, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_is_the_adjoint_and_its_own_gradient_is_the_convolution(case):
    (y, kernel, x), (forward, out, to_map, to_kernel) = _results(case)
    np.testing.assert_allclose(to_map, forward, atol=1e-9)
    # One number, linear in each of the three.
    number = np.vdot(y, out)
    np.testing.assert_allclose(np.vdot(forward, x), number, rtol=1e-9)
    np.testing.assert_allclose(np.vdot(to_kernel, kernel), number, rtol=1e-9)


@pytest.mark.parametrize("padding", ["SAME", "VALID", "FULL", 1, ((0, 2),)])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("window", "dilation"), [(1, 1), (2, 1), (3, 1), (3, 2)])
def test_output_shapes_are_those_the_convolution_would_take(
    window, stride, dilation, padding
):
    path = dict(strides=stride, padding=padding, dilation=dilation)
    kernel = np.ones((window, 1, 1), np.float32)
    sizes = {}
    for size in range(1, 15):
        try:
            out = jax.eval_shape(
                functools.partial(conv, **path),
                np.zeros((1, size, 1), np.float32),
                kernel,
            )
        except ValueError:
            continue
        sizes.setdefault(out.shape[1], []).append(size)
    n, fitting = next((n, s) for n, s in sizes.items() if n >= 3)
    x = np.zeros((1, n, 1), np.float32)

    def shape(**more):
        apply = functools.partial(conv_transpose, **path, **more)
        return jax.eval_shape(apply, x, kernel).shape

    # VALID's fits a whole number of strides where that leaves nothing over.
    if padding == "SAME":
        wanted = n * stride
    else:
        wanted = n * stride if padding == "VALID" and n * stride in fitting else None
        wanted = wanted or min(fitting)
    assert shape() == (1, wanted, 1) and wanted in fitting
    for size in range(1, 15):
        if size in fitting:
            assert shape(output_shape=size) == (1, size, 1)
        else:
            with pytest.raises(ValueError, match="output_shape|kernel"):
                shape(output_shape=size)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_equals_lax_wherever_lax_has_it(dilation, padding):
    layout = "NWC", "WIO", "NWC"

    @jax.jit
    def both(x, kernel):
        return [
            (
                conv_transpose(x, kernel[:w], s, padding, dilation=dilation),
                lax.conv_transpose(
                    x,
                    kernel[:w],
                    (s,),
                    padding,
                    rhs_dilation=(dilation,),
                    dimension_numbers=layout,
                    transpose_kernel=True,
                ),
            )
            for w, s in itertools.product((1, 2, 3, 4), (1, 2, 3))
        ]

    for got, wanted in both(_normal((2, 5, 3)), _normal((4, 2, 3))):
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_derivatives_equal_finite_differences():
    def loss(arrays):
        options = dict(strides=2, dilation=(2, 1), boundary="reflect")
        return jnp.sin(conv_transpose(*arrays, **options)).sum()

    @jax.jit
    def both(arrays, tangents, step=1e-5):
        ahead = jax.tree.map(lambda a, t: a + step * t, arrays, tangents)
        behind = jax.tree.map(lambda a, t: a - step * t, arrays, tangents)
        gradient = jax.grad(loss)
        slope = (loss(ahead) - loss(behind)) / (2 * step)
        bend = jax.tree.map(
            lambda a, b: (a - b) / (2 * step), gradient(ahead), gradient(behind)
        )
        return jax.jvp(jax.value_and_grad(loss), (arrays,), (tangents,))[1], (
            slope,
            bend,
        )

    with jax.enable_x64(True):
        shapes = (1, 4, 3, 2), (3, 2, 3, 2)
        arrays = tuple(_normal(shape, jnp.float64) for shape in shapes)
        tangents = tuple(_normal(shape, jnp.float64, 1) for shape in shapes)
        exact, measured = both(arrays, tangents)
        for got, wanted in zip(*map(jax.tree.leaves, (exact, measured)), strict=True):
            assert got.dtype == jnp.float64
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_transformations_change_nothing():
    maps, kernel = _normal((3, 2, 5, 4, 3)), _normal((3, 3, 2, 3))

    def apply(x):
        return conv_transpose(x, kernel, 2, boundary="circular")

    wanted = apply(maps)
    assert wanted.shape == (3, 2, 10, 8, 2)
    scanned = lax.scan(lambda _, x: (None, jax.checkpoint(apply)(x)), None, maps)[1]
    with jax.disable_jit():
        eager = apply(maps)
    _, tangent = jax.linearize(apply, jnp.zeros_like(maps))
    for got in jax.jit(apply)(maps), jax.vmap(apply)(maps), scanned, eager:
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(tangent(maps), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("boundary", ["zero", "circular", "reflect", "edge"])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_summed_in_float32(dtype, boundary):
    # A running sum in half precision would stop at the large entry.
    large = 2.0 ** (jnp.finfo(dtype).nmant + 1)
    x = jnp.ones((1, 40, 1), dtype).at[0, 0].set(large)
    kernel = jnp.ones((41, 1, 1), dtype)
    out = conv_transpose(x, kernel, boundary=boundary)
    wide = conv_transpose(
        x.astype(jnp.float32), kernel.astype(jnp.float32), boundary=boundary
    )
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, wide.astype(dtype))


@pytest.mark.parametrize("shift", [(1, 0), (-2, 3)])
def test_circular_boundary_makes_it_commute_with_shifts(shift):
    x, kernel = _normal((1, 4, 5, 3)), _normal((3, 4, 2, 3))
    strides = 2, 3

    def apply(x):
        return conv_transpose(x, kernel, strides, boundary="circular")

    got = apply(jnp.roll(x, shift, (1, 2)))
    moved = jnp.roll(apply(x), tuple(np.multiply(shift, strides)), (1, 2))
    np.testing.assert_allclose(got, moved, rtol=1e-4, atol=1e-5)


def test_is_one_named_equation():
    x, kernel = _normal((1, 4, 4, 6)), _normal((3, 2, 2, 6))

    def apply(x):
        return conv_transpose(x, kernel, (2, 1), groups=2, boundary="edge")

    (equation,) = jax.make_jaxpr(apply)(x).eqns
    assert equation.params["name"] == (
        "conv_transpose(window_shape=(3, 2), strides=(2, 1), padding=((0, 1), (0, 1)), "
        "boundary='edge', groups=2)"
    )


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("boundary", ["zero", "circular"])
def test_value_and_gradients_export(boundary, dtype):
    def value_and_gradients(x, kernel):
        def apply(x, kernel):
            return conv_transpose(x, kernel, 2, boundary=boundary)

        out, pull = jax.vjp(apply, x, kernel)
        return out, pull(out)

    shapes = (2, 3, 4, 3), (3, 3, 2, 3)
    platforms = ("cpu", "cuda", "tpu")
    arguments = (jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)
    exported = export.export(jax.jit(value_and_gradients), platforms=platforms)(
        *arguments
    )
    assert exported.platforms == platforms


@pytest.mark.parametrize("boundary", ["zero", "circular"])
@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (2, 3, 4, 0)])
def test_sums_of_nothing_are_zero(shape, boundary):
    x, kernel = jnp.ones(shape), jnp.ones((3, 3, 2, shape[-1]))

    @jax.jit
    def value_and_gradients(x, kernel):
        def apply(x, kernel):
            return conv_transpose(x, kernel, 2, boundary=boundary)

        out, pull = jax.vjp(apply, x, kernel)
        return out, pull(out)

    out, gradients = value_and_gradients(x, kernel)
    np.testing.assert_array_equal(out, np.zeros((shape[0], 6, 8, 2)))
    for gradient, of in zip(gradients, (x, kernel), strict=True):
        np.testing.assert_array_equal(gradient, jnp.zeros_like(of))


X, KERNEL = jnp.ones((2, 5, 4, 6)), jnp.ones((3, 3, 3, 6))
BAD = [
    ((X, KERNEL[0, 0]), {}, ValueError, "kernel of shape (3, 6) must have 1 to 3"),
    ((X[0, 0], KERNEL), {}, ValueError, "needs a map [*batch, 2 spatial axes, chan"),
    ((X[..., :3], KERNEL), {}, ValueError, "in 1 groups does not fit a map of 3 chan"),
    ((X, KERNEL), {"groups": 4}, ValueError, "in 4 groups does not fit a map of 6"),
    ((X, KERNEL), {"groups": 0}, ValueError, "in 0 groups does not fit a map of 6"),
    ((X, KERNEL), {"groups": None}, TypeError, "groups takes an integer, got None"),
    ((X, KERNEL), {"groups": 2.0}, TypeError, "groups takes an integer, got 2.0"),
    (([[1.0]], KERNEL), {}, TypeError, "the map must be an array, got list"),
    ((X, [[1.0]]), {}, TypeError, "the kernel must be an array, got list"),
    ((X, KERNEL, True), {}, TypeError, "strides takes integers, got True"),
    ((X, KERNEL.astype(jnp.bfloat16)), {}, TypeError, "got float32 and bfloat16"),
    ((X.astype(int), KERNEL.astype(int)), {}, TypeError, "got int32 and int32"),
    ((X, KERNEL, 0), {}, ValueError, "strides (0, 0) must be at least 1 everywhere"),
    ((X, KERNEL, (2,)), {}, ValueError, "strides (2,) has 1 entries for 2 spatial"),
    ((X, KERNEL, 1.5), {}, TypeError, "strides takes integers, got 1.5"),
    ((X, KERNEL, 1, "same"), {}, ValueError, "unknown padding 'same'; choose from"),
    ((X, KERNEL, 1, -1), {}, ValueError, "must not be negative"),
    ((X, KERNEL), {"dilation": 0}, ValueError, "dilation (0, 0) must be at least 1"),
    ((X, KERNEL), {"boundary": "wrap"}, ValueError, "unknown boundary 'wrap'; choose"),
    (
        (X, KERNEL, 2),
        {"output_shape": (11, 8)},
        ValueError,
        "a convolution makes (6, 4) of the output_shape (11, 8), not the map's (5, 4)",
    ),
    (
        (X, KERNEL, 1, "VALID"),
        {"output_shape": (2, 8)},
        ValueError,
        "kernel (3, 3) exceeds the padded map (2, 8)",
    ),
    (
        (X[:, :1], KERNEL, 1, "FULL"),
        {},
        ValueError,
        "a convolution makes (3, 4) of the output_shape (1, 2), not the map's (1, 4)",
    ),
    (
        (X, KERNEL),
        {"output_shape": (5,)},
        ValueError,
        "output_shape (5,) has 1 entries for 2 spatial axes",
    ),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("arguments", "options", "error", "message"), BAD)
def test_bad_input_is_answered_with_one_line(arguments, options, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        jax.eval_shape(lambda: conv_transpose(*arguments, **options))
    assert "\n" not in str(caught.value)
