"""im2col, and the gradients of convolution as they are written out beside it."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from references import convolution_kinds as references

from cnnlab.ops.conformance.subject import compiled
from cnnlab.ops.convolution import conv
from cnnlab.ops.im2col import conv_im2col, im2col, input_gradient, kernel_gradient
from cnnlab.ops.transposed_convolution import conv_transpose

pytestmark = pytest.mark.usefixtures("quickly_compiled")

# (shape of the map, shape of the kernel, keywords)
CASES = {
    "defaults": ((2, 6, 5, 3), (3, 3, 3, 4), {}),
    "gaps": ((1, 9, 8, 2), (1, 2, 2, 3), {"strides": (3, 4), "padding": "VALID"}),
    "full": ((1, 4, 3, 2), (3, 2, 2, 2), {"padding": "FULL", "strides": 2}),
    "asymmetric": ((1, 5, 4, 2), (3, 2, 2, 3), {"padding": ((4, 0), (0, 1))}),
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


def _normal(shape, dtype=jnp.float64, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def _hold_gradients(shape, kernel_shape, options):
    """The value and both gradients, in float64, against those that `conv` has."""
    rank = len(kernel_shape) - 2
    spatial = shape[len(shape) - rank - 1 : -1]

    @compiled
    def both(x, kernel):
        out, pull = jax.vjp(functools.partial(conv, **options), x, kernel)
        g = jnp.cos(jnp.arange(out.size, dtype=out.dtype)).reshape(out.shape)
        written = (
            conv_im2col(x, kernel, **options),
            input_gradient(g, kernel, spatial, **options),
            kernel_gradient(x, g, kernel_shape[:rank], **options),
        )
        return written, (out, *pull(g))

    with jax.enable_x64(True):
        pairs = both(_normal(shape), _normal(kernel_shape, seed=1))
    for got, wanted in zip(*pairs, strict=True):
        assert got.dtype == jnp.float64 and got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, atol=1e-11)


@pytest.mark.parametrize("case", CASES)
def test_equals_conv_and_its_gradients(case):
    _hold_gradients(*CASES[case])


def _geometry(seed):
    """A map, a kernel and a path of one or two axes, such that the kernel fits."""
    rng = np.random.default_rng(seed)
    rank, groups = rng.integers(1, 3, 2).tolist()

    def each(low, high):
        return tuple(rng.integers(low, high + 1, rank).tolist())

    def one_of(*choices):
        return choices[rng.integers(len(choices))]

    window, strides, dilation = each(1, 3), each(1, 4), each(1, 3)
    padding = tuple(zip(each(0, 3), each(0, 3), strict=True))
    extent = np.multiply(np.subtract(window, 1), dilation) + 1
    least = np.maximum(extent - np.sum(padding, 1), 1)
    shape = (one_of(1, 2), *(int(n) for n in least + each(0, 4)), 2)
    options = {
        "strides": strides,
        "padding": one_of("SAME", "FULL", padding),
        "dilation": dilation,
        "groups": groups,
        "boundary": one_of("zero", "circular", "reflect", "edge"),
    }
    return shape, (*window, 2 // groups, 2), options


@pytest.mark.parametrize("seed", range(6))
def test_equals_conv_and_its_gradients_on_random_geometries(seed):
    _hold_gradients(*_geometry(seed))


@pytest.mark.parametrize("case", CASES)
def test_rows_equal_the_reference(case):
    shape, kernel_shape, options = CASES[case]
    options = {name: value for name, value in options.items() if name != "groups"}
    x = _normal(shape, jnp.float32)
    got = im2col(x, kernel_shape[:-2], **options)
    wanted = references.im2col(x, kernel_shape[:-2], **options)
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(got, wanted.astype(np.float32))


def test_an_int_window_is_a_square_and_any_dtype_is_copied():
    x = jnp.arange(12, dtype=jnp.int8).reshape(3, 4, 1)
    rows = im2col(x, 2, padding="VALID")
    assert rows.dtype == jnp.int8
    np.testing.assert_array_equal(rows[0, 0], [0, 1, 4, 5])
    np.testing.assert_array_equal(rows, im2col(x, (2, 2), padding="VALID"))


def test_the_gradients_are_those_of_a_matrix_product():
    x, kernel = _normal((2, 5, 4, 2), jnp.float32), _normal((3, 2, 2, 3), jnp.float32)
    rows, read = jax.vjp(lambda x: im2col(x, (3, 2), 2), x)
    matrix = kernel.reshape(-1, 3)
    g = _normal((rows @ matrix).shape, jnp.float32, seed=1)
    to_matrix = rows.reshape(-1, len(matrix)).T @ g.reshape(-1, 3)
    np.testing.assert_allclose(
        kernel_gradient(x, g, (3, 2), 2), to_matrix.reshape(kernel.shape), rtol=1e-4
    )
    (to_map,) = read(g @ matrix.T)
    np.testing.assert_allclose(
        input_gradient(g, kernel, (5, 4), 2), to_map, rtol=1e-4, atol=1e-5
    )


def test_the_input_gradient_is_the_transposed_convolution():
    kernel, g = _normal((3, 2, 2, 6), jnp.float32), _normal((1, 4, 3, 6), jnp.float32)
    options = dict(strides=(2, 3), groups=2, boundary="reflect")
    np.testing.assert_allclose(
        input_gradient(g, kernel, (8, 9), **options),
        conv_transpose(g, kernel, **options),
        rtol=1e-4,
        atol=1e-5,
    )


def test_transformations_change_nothing():
    maps, kernel = _normal((3, 1, 5, 4, 2), jnp.float32), _normal((2, 2, 2, 3), "f4")

    def apply(x):
        out = conv_im2col(x, kernel, 2)
        return (
            out,
            input_gradient(out, kernel, (5, 4), 2),
            jax.vmap(lambda x, g: kernel_gradient(x, g, (2, 2), 2))(x, out),
        )

    @jax.jit
    def apart(maps):
        return jax.lax.scan(lambda _, x: (None, apply(x)), None, maps)[1]

    with jax.disable_jit():
        eager = apply(maps[0])
    wanted = jax.jit(jax.vmap(apply))(maps)
    for one, got, want in zip(eager, apart(maps), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(one, want[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_summed_in_float32(dtype):
    large = 2.0 ** (jnp.finfo(dtype).nmant + 1)
    long = jnp.ones((1, 40, 1), dtype).at[0, 0].set(large)
    ones = jnp.ones((40, 1, 1), dtype)
    wanted = jnp.asarray(large + 39, jnp.float32).astype(dtype)
    sums = (
        conv_im2col(long, ones, padding="VALID"),
        kernel_gradient(long, jnp.ones_like(long), (1,)),
        input_gradient(long, ones, 1, padding="FULL"),
    )
    for total in sums:
        assert total.dtype == dtype and total.item() == wanted.item() != large


def test_shows_its_parts_by_name():
    x, kernel = _normal((1, 8, 7, 2), jnp.float32), _normal((3, 2, 2, 6), jnp.float32)

    def names(function, *arguments):
        """Of the one equation that `function` is, and of those that it is made of."""
        (equation,) = jax.make_jaxpr(function)(*arguments).eqns
        parts = equation.params["jaxpr"].eqns
        return [e.params["name"] for e in (equation, *parts) if "name" in e.params]

    path = (
        "window_shape=(3, 2), strides=(2, 2), padding=((0, 1), (0, 1)), boundary='zero'"
    )
    rows, *_ = names(lambda x: im2col(x, (3, 2), 2), x)
    assert rows == f"im2col({path})"
    whole, *parts = names(lambda x: conv_im2col(x, kernel, 2), x)
    assert whole == f"conv_im2col({path}, groups=1)" and rows in parts
    g = conv(x, kernel, 2)
    whole, *parts = names(lambda g: input_gradient(g, kernel, (8, 7), 2), g)
    assert whole == f"input_gradient({path}, spatial_shape=(8, 7), groups=1)"
    assert any(name.startswith("conv(window_shape=(3, 2), ") for name in parts)
    whole, *parts = names(lambda x: kernel_gradient(x, g, (3, 2), 2), x)
    assert whole == f"kernel_gradient({path}, groups=1)"
    # Stride and dilation have changed places, and the kernel is as large as g.
    assert (
        "conv(window_shape=(4, 4), strides=(1, 1), padding=((0, 0), (0, 0)), "
        "boundary='zero', dilation=(2, 2), groups=1)"
    ) in parts


@pytest.mark.parametrize("shape", [(0, 5, 4, 2), (2, 5, 4, 0)])
@pytest.mark.parametrize("boundary", ["zero", "circular"])
def test_maps_without_examples_or_channels_equal_conv(shape, boundary):
    _hold_gradients(shape, (3, 2, shape[-1], 3), {"strides": 2, "boundary": boundary})
    assert im2col(jnp.zeros(shape), 2).shape == (*shape[:-1], 4 * shape[-1])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_value_and_gradients_export(dtype):
    def all_three(x, kernel):
        out = conv_im2col(x, kernel, 2, boundary="circular")
        options = dict(strides=2, boundary="circular")
        to_map = input_gradient(out, kernel, (5, 4), **options)
        return out, to_map, kernel_gradient(x, out, (3, 2), **options)

    platforms = ("cpu", "cuda", "tpu")
    shapes = (2, 5, 4, 3), (3, 2, 3, 2)
    arguments = (jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)
    exported = export.export(jax.jit(all_three), platforms=platforms)(*arguments)
    assert exported.platforms == platforms


X, KERNEL, G = jnp.ones((2, 5, 4, 6)), jnp.ones((3, 3, 3, 4)), jnp.ones((2, 5, 4, 4))
PATHS = [
    ({"strides": 0}, ValueError, "strides (0, 0) must be at least 1 everywhere"),
    ({"strides": (1,)}, ValueError, "strides (1,) has 1 entries for 2 spatial axes"),
    ({"strides": 1.5}, TypeError, "strides takes integers, got 1.5"),
    ({"padding": "same"}, ValueError, "unknown padding 'same'; choose from VALID"),
    ({"padding": -1}, ValueError, "padding ((-1, -1), (-1, -1)) must not be negative"),
    ({"dilation": 0}, ValueError, "dilation (0, 0) must be at least 1 everywhere"),
    ({"boundary": "wrap"}, ValueError, "unknown boundary 'wrap'; choose from zero"),
    (
        {"dilation": 3, "padding": "VALID"},
        ValueError,
        "(7, 7) exceeds the padded map (5, 4)",
    ),
]
CALLS = {
    "im2col": lambda **path: im2col(X, 3, **path),
    "conv_im2col": lambda **path: conv_im2col(X, KERNEL, groups=2, **path),
    "input_gradient": lambda **path: input_gradient(
        G, KERNEL, (5, 4), groups=2, **path
    ),
    "kernel_gradient": lambda **path: kernel_gradient(X, G, 3, groups=2, **path),
}
BAD = [
    (lambda: im2col(X > 0, 3), TypeError, "im2col needs a map of numbers, got bool"),
    (lambda: im2col(X, ()), ValueError, "window_shape () must have 1 to 3 entries"),
    (lambda: im2col(X, (0, 1)), ValueError, "window_shape (0, 1) must be at least 1"),
    (
        lambda: im2col(X[0, 0], 3),
        ValueError,
        "2 spatial axes need a map [*batch, 2 spatial axes, channels], "
        "got shape (4, 6)",
    ),
    (
        lambda: conv_im2col(X, KERNEL),
        ValueError,
        "kernel of shape (3, 3, 3, 4) in 1 groups does not fit a map of 6 channels",
    ),
    (
        lambda: conv_im2col(X, KERNEL, groups=0),
        ValueError,
        "kernel of shape (3, 3, 3, 4) in 0 groups does not fit a map of 6 channels",
    ),
    (
        lambda: conv_im2col(X, KERNEL.astype(jnp.bfloat16), groups=2),
        TypeError,
        "got float32 and bfloat16",
    ),
    (
        lambda: conv_im2col(X[0, 0], KERNEL, groups=2),
        ValueError,
        "a kernel of shape (3, 3, 3, 4) needs a map [*batch, 2 spatial axes",
    ),
    (
        lambda: input_gradient(G, KERNEL, (5, 5), groups=2),
        ValueError,
        "g of shape (2, 5, 4, 4) must have that of the convolution, (2, 5, 5, 4)",
    ),
    (
        lambda: input_gradient(G, KERNEL, (5,), groups=2),
        ValueError,
        "spatial_shape (5,) has 1 entries for 2 spatial axes",
    ),
    (
        lambda: input_gradient(G[..., :2], KERNEL, (5, 4), groups=2),
        ValueError,
        "kernel of shape (3, 3, 3, 4), transposed, in 2 groups does not fit a map of 2",
    ),
    (
        lambda: input_gradient(G[0, 0, 0], KERNEL, (5, 4), groups=2),
        ValueError,
        "a kernel of shape (3, 3, 3, 4) needs a map [*batch, 2 spatial axes",
    ),
    (
        lambda: input_gradient(G, KERNEL, (5, 4), groups=3),
        ValueError,
        "kernel of shape (3, 3, 3, 4), transposed, in 3 groups does not fit a map of 4",
    ),
    (lambda: im2col([[1.0]], 3), TypeError, "a map must be an array, got list"),
    (
        lambda: conv_im2col([[1.0]], KERNEL),
        TypeError,
        "the map must be an array, got list",
    ),
    (
        lambda: conv_im2col(X, KERNEL, groups=None),
        TypeError,
        "groups takes an integer, got None",
    ),
    (
        lambda: input_gradient(G, [[1.0]], (5, 4)),
        TypeError,
        "the kernel must be an array, got list",
    ),
    (
        lambda: input_gradient(G, KERNEL, (5, 4), groups=2.0),
        TypeError,
        "groups takes an integer, got 2.0",
    ),
    (
        lambda: kernel_gradient(X, [[1.0]], 3),
        TypeError,
        "g must be an array, got list",
    ),
    (
        lambda: kernel_gradient(X, G, 3, groups=True),
        TypeError,
        "groups takes an integer, got True",
    ),
    (
        lambda: kernel_gradient(X, G[0, 0, 0, 0], 3),
        ValueError,
        "g of shape () must have that of the convolution",
    ),
    (
        lambda: kernel_gradient(X, G[:1], 3),
        ValueError,
        "g of shape (1, 5, 4, 4) must have that of the convolution, (2, 5, 4, 4)",
    ),
    (
        lambda: kernel_gradient(X, G, 3, groups=4),
        ValueError,
        "4 groups do not divide 6 and 4 channels",
    ),
    (
        lambda: kernel_gradient(X, G, 3, groups=0),
        ValueError,
        "0 groups do not divide 6 and 4 channels",
    ),
    (
        lambda: kernel_gradient(X, G.astype(jnp.float16), 3),
        TypeError,
        "got float32 and float16",
    ),
    *(
        pytest.param(
            functools.partial(call, **path), error, message, id=f"{name} {path}"
        )
        for name, call in CALLS.items()
        for path, error, message in PATHS
    ),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_answered_with_one_line(call, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        jax.eval_shape(call)
    assert "\n" not in str(caught.value)
