"""Convolution, in every lowering."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references

from cnnlab.ops import conv
from cnnlab.ops.convolution import LOWERINGS

# (shape of the map, shape of the kernel, keywords)
CASES = {
    "defaults": ((2, 6, 5, 3), (3, 3, 3, 4), {}),
    "strided": ((2, 7, 6, 2), (3, 2, 2, 3), {"strides": (2, 3), "padding": "VALID"}),
    "gaps": ((1, 9, 8, 2), (1, 2, 2, 3), {"strides": 3, "padding": "VALID"}),
    "full": ((1, 4, 3, 2), (3, 2, 2, 2), {"padding": "FULL"}),
    "asymmetric": ((1, 5, 4, 2), (3, 2, 2, 3), {"padding": ((2, 0), (0, 1))}),
    "dilated": ((1, 8, 7, 2), (3, 2, 2, 3), {"dilation": (2, 3), "strides": 2}),
    "grouped": ((2, 5, 4, 6), (3, 3, 2, 9), {"groups": 3}),
    "depthwise": ((1, 5, 4, 3), (3, 3, 1, 6), {"groups": 3, "strides": 2}),
    "circular": ((1, 5, 6, 2), (3, 4, 2, 3), {"boundary": "circular"}),
    "reflect": ((1, 5, 6, 2), (3, 4, 2, 3), {"boundary": "reflect", "strides": 2}),
    "edge": ((1, 5, 6, 2), (3, 4, 2, 3), {"boundary": "edge", "dilation": 2}),
    "one_axis": ((2, 9, 3), (4, 3, 2), {"strides": 2}),
    "three_axes": ((1, 3, 4, 5, 2), (2, 2, 3, 2, 2), {"strides": (1, 2, 2)}),
    "one_pixel": ((1, 1, 1, 2), (3, 3, 2, 3), {}),
    "pointwise": ((1, 4, 5, 3), (1, 1, 3, 2), {}),
    "no_batch": ((5, 4, 2), (3, 3, 2, 3), {}),
    "three_batch_axes": ((2, 1, 2, 4, 4, 2), (2, 2, 2, 3), {"padding": 1}),
}
FORCED = [lowering for lowering in LOWERINGS if lowering != "auto"]


def _arrays(x_shape, kernel_shape, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    return (
        jnp.asarray(rng.normal(size=x_shape), dtype),
        jnp.asarray(rng.normal(size=kernel_shape), dtype),
    )


@pytest.mark.parametrize("lowering", FORCED)
@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference(case, lowering):
    x_shape, kernel_shape, options = CASES[case]
    x, kernel = _arrays(x_shape, kernel_shape)
    got = conv(x, kernel, **options, lowering=lowering)
    wanted = references.conv(x, kernel, **options)
    assert got.shape == wanted.shape and got.dtype == x.dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", ["dilated", "grouped", "circular", "one_axis"])
def test_gradients_of_all_lowerings_agree(case):
    x_shape, kernel_shape, options = CASES[case]
    x, kernel = _arrays(x_shape, kernel_shape)

    def gradients(lowering):
        def loss(x, kernel):
            return jnp.sin(conv(x, kernel, **options, lowering=lowering)).sum()

        return jax.jit(jax.grad(loss, (0, 1)))(x, kernel)

    pairs = itertools.combinations([gradients(lowering) for lowering in LOWERINGS], 2)
    for one, other in pairs:
        for got, wanted in zip(one, other, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lowering", FORCED)
def test_derivatives_equal_finite_differences(lowering):
    x_shape, kernel_shape, options = CASES["dilated"]

    def loss(arrays):
        return jnp.sin(conv(*arrays, **options, lowering=lowering)).sum()

    gradient = jax.grad(loss)

    @jax.jit
    def both(arrays, tangents, step=1e-5):
        ahead = jax.tree.map(lambda a, t: a + step * t, arrays, tangents)
        behind = jax.tree.map(lambda a, t: a - step * t, arrays, tangents)
        slope = (loss(ahead) - loss(behind)) / (2 * step)
        bend = jax.tree.map(
            lambda a, b: (a - b) / (2 * step), gradient(ahead), gradient(behind)
        )
        exact = jax.jvp(jax.value_and_grad(loss), (arrays,), (tangents,))[1]
        return exact, (slope, bend)

    with jax.enable_x64(True):
        arrays = _arrays(x_shape, kernel_shape, jnp.float64)
        tangents = jax.tree.map(lambda a: jnp.flip(a) + 0.5, arrays)
        exact, measured = both(arrays, tangents)
        for got, wanted in zip(*map(jax.tree.leaves, (exact, measured)), strict=True):
            assert got.dtype == jnp.float64
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lowering", FORCED)
def test_transformations_change_nothing(lowering):
    x, kernel = _arrays((3, 2, 5, 4, 2), (3, 3, 2, 3))

    def apply(x):
        return conv(x, kernel, strides=2, lowering=lowering)

    wanted = apply(x)
    scanned = jax.lax.scan(
        lambda _, image: (None, jax.checkpoint(apply)(image)), None, x
    )
    for got in jax.jit(apply)(x), jax.vmap(apply)(x), scanned[1]:
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lowering", FORCED)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_summed_in_float32(dtype, lowering):
    # A running sum in half precision would stop at the large entry.
    large = 2.0 ** (jnp.finfo(dtype).nmant + 1)
    x = jnp.ones((1, 40, 1), dtype).at[0, 0].set(large)
    out = conv(x, jnp.ones((40, 1, 1), dtype), padding="VALID", lowering=lowering)
    assert out.dtype == dtype
    wanted = jnp.asarray(large + 39, jnp.float32).astype(dtype)
    assert out.item() == wanted.item() != large


@pytest.mark.parametrize("lowering", FORCED)
def test_circular_boundary_makes_it_commute_with_shifts(lowering):
    x, kernel = _arrays((1, 6, 5, 2), (3, 4, 2, 3))

    def apply(x):
        return conv(x, kernel, boundary="circular", lowering=lowering)

    for shift in (1, 0), (-2, 3):
        shifted = jnp.roll(apply(x), shift, (1, 2))
        got = apply(jnp.roll(x, shift, (1, 2)))
        np.testing.assert_allclose(got, shifted, rtol=1e-5, atol=1e-6)
    # With zeros around the map it does not.
    zero = conv(jnp.roll(x, 1, 1), kernel, lowering=lowering)
    moved = jnp.roll(conv(x, kernel, lowering=lowering), 1, 1)
    assert np.max(np.abs(zero - moved)) > 0.1


def test_is_one_named_equation():
    x, kernel = _arrays((1, 8, 7, 4), (3, 2, 2, 6))

    def name(**options):
        (equation,) = jax.make_jaxpr(lambda x: conv(x, kernel, **options))(x).eqns
        return equation.params["name"]

    assert name(strides=(2, 1), dilation=2, groups=2, boundary="edge") == (
        "conv(window_shape=(3, 2), strides=(2, 1), padding=((1, 2), (1, 1)), "
        "boundary='edge', dilation=(2, 2), groups=2)"
    )
    # What computes it does not show.
    assert len({name(lowering=lowering, groups=2) for lowering in LOWERINGS}) == 1


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("boundary", ["zero", "reflect"])
@pytest.mark.parametrize(
    ("shape", "features"), [((0, 5, 4, 2), 3), ((2, 5, 4, 0), 3), ((2, 5, 4, 2), 0)]
)
def test_sums_of_nothing_are_zero(shape, features, boundary, lowering):
    @jax.jit
    def value_and_gradients(x, kernel):
        options = {"boundary": boundary, "lowering": lowering}
        out, pull = jax.vjp(lambda x, k: conv(x, k, 2, **options), x, kernel)
        return out, pull(out)

    x, kernel = jnp.ones(shape), jnp.ones((3, 3, shape[-1], features))
    out, gradients = value_and_gradients(x, kernel)
    np.testing.assert_array_equal(out, np.zeros((shape[0], 3, 2, features)))
    for gradient, of in zip(gradients, (x, kernel), strict=True):
        np.testing.assert_array_equal(gradient, jnp.zeros_like(of))


X, KERNEL = jnp.ones((2, 5, 4, 4)), jnp.ones((3, 3, 4, 4))
REFUSED = [
    (([[1.0]], KERNEL), {}, TypeError, "the map must be an array, got list"),
    ((None, KERNEL), {}, TypeError, "the map must be an array, got NoneType"),
    ((X, [[1.0]]), {}, TypeError, "the kernel must be an array, got list"),
    ((X, KERNEL), {"groups": None}, TypeError, "groups takes an integer, got None"),
    ((X, KERNEL), {"groups": 2.0}, TypeError, "groups takes an integer, got 2.0"),
    ((X, KERNEL), {"groups": "2"}, TypeError, "groups takes an integer, got '2'"),
    ((X, KERNEL), {"groups": True}, TypeError, "groups takes an integer, got True"),
    ((X, KERNEL), {"groups": -1}, ValueError, "in -1 groups does not fit a map of 4"),
    ((X, KERNEL), {"groups": 3}, ValueError, "in 3 groups does not fit a map of 4"),
    ((X, KERNEL, True), {}, TypeError, "strides takes integers, got True"),
    ((X, KERNEL), {"dilation": (1, True)}, TypeError, "takes integers, got True"),
    ((X, KERNEL, 1, True), {}, TypeError, "padding takes integers, got True"),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("arguments", "options", "error", "message"), REFUSED)
def test_bad_input_is_answered_with_one_line(arguments, options, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        jax.eval_shape(lambda: conv(*arguments, **options))
    assert "\n" not in str(caught.value)
