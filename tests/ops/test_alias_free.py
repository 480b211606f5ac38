"""The alias-free activation commutes with shifts by fractions of a pixel."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from references import convolution_kinds as references

from cnnlab.ops.alias_free import alias_free_activation

SIZES = pytest.mark.parametrize("size", [(5, 6), (8, 7), (1, 4), (2, 3)], ids=str)


def _map(shape, dtype=jnp.float64, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def _shift_error(activation, size, distances, up):
    """By how much activating and shifting fail to commute, in float64."""
    with jax.enable_x64(True):
        x = _map((2, *size, 3))

        def shift(x):
            for axis, distance in zip((1, 2), distances, strict=True):
                x = references.shifted(x, distance, axis)
            return jnp.asarray(x)

        def apply(x):
            return alias_free_activation(x, activation, up=up)

        return float(jnp.abs(apply(shift(x)) - shift(apply(x))).max())


@pytest.mark.parametrize("up", [1, 2, 3])
@pytest.mark.parametrize(
    "shape", [(2, 5, 6, 3), (1, 8, 1, 2), (4, 3, 2), (2, 9, 2), (2, 4, 3, 4, 2)]
)
def test_equals_the_reference(shape, up):
    axes = {(2, 9, 2): 1, (2, 4, 3, 4, 2): 3}.get(shape, 2)
    with jax.enable_x64(True):
        x = _map(shape)
        got = alias_free_activation(x, jnp.tanh, up=up, axes=axes)
        assert got.dtype == jnp.float64 and got.shape == shape
    wanted = references.alias_free_activation(x, np.tanh, up, axes)
    np.testing.assert_allclose(got, wanted, atol=1e-12)


@SIZES
@pytest.mark.parametrize("up", [1, 2, 3])
def test_polynomials_commute_with_any_shift(size, up):
    def polynomial(x):
        return sum((-0.5) ** k * x**k for k in range(2 * up))

    assert _shift_error(polynomial, size, (0.3, -1.71), up) < 1e-9


@pytest.mark.parametrize("up", [1, 2, 3])
def test_one_degree_more_makes_aliases(up):
    error = _shift_error(lambda x: x ** (2 * up), (5, 7), (0.3, -1.71), up)
    assert error > 1e-4


@SIZES
@pytest.mark.parametrize("up", [1, 2, 3])
def test_any_activation_commutes_with_shifts_by_fine_samples(size, up):
    assert _shift_error(jnp.abs, size, (1 / up, -3 / up), up) < 1e-9


def test_the_error_of_other_activations_falls_as_up_grows():
    plain, fine, finest = (
        _shift_error(jax.nn.gelu, (7, 7), (0.3, -1.71), up) for up in (1, 2, 4)
    )
    assert plain > 10 * fine > 100 * finest


@pytest.mark.parametrize("size", [(5, 7), (6, 8), (4, 5), (1, 2)], ids=str)
def test_the_identity_loses_the_wave_of_half_a_cycle_alone(size):
    with jax.enable_x64(True):
        x = _map((2, *size, 1))
        once = alias_free_activation(x, lambda x: x)
        np.testing.assert_allclose(
            alias_free_activation(once, lambda x: x), once, atol=1e-12
        )
        spectrum = np.fft.fft2(x - once, axes=(1, 2))
        rows, columns = (2 * abs(np.fft.fftfreq(n)) < 1 for n in size)
        kept = np.outer(rows, columns)
        np.testing.assert_allclose(spectrum[:, kept], 0, atol=1e-12)
        lost = np.fft.fft2(once, axes=(1, 2))[:, ~kept]
        np.testing.assert_allclose(lost, 0, atol=1e-12)


def test_half_precision_is_computed_in_float32():
    seen = []

    def activation(x):
        seen.append(x.dtype)
        return jnp.square(x)

    for dtype in jnp.bfloat16, jnp.float16:
        x = _map((1, 32, 31, 2), dtype)
        got = alias_free_activation(x, activation)
        wanted = alias_free_activation(x.astype(jnp.float32), activation)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, wanted.astype(dtype))
    assert set(seen) == {jnp.dtype(jnp.float32)}


def test_derivatives_equal_finite_differences():
    def loss(x):
        return jnp.sin(alias_free_activation(x, jnp.tanh)).sum()

    @jax.jit
    def both(x, tangent, step=1e-5):
        gradient = jax.grad(loss)
        ahead, behind = x + step * tangent, x - step * tangent
        slope = (loss(ahead) - loss(behind)) / (2 * step)
        bend = (gradient(ahead) - gradient(behind)) / (2 * step)
        return jax.jvp(jax.value_and_grad(loss), (x,), (tangent,))[1], (slope, bend)

    with jax.enable_x64(True):
        exact, measured = both(_map((1, 5, 4, 2)), _map((1, 5, 4, 2), seed=1))
        for got, wanted in zip(exact, measured, strict=True):
            assert np.any(got != 0)
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


def test_transformations_change_nothing():
    maps = _map((3, 2, 5, 4, 2), jnp.float32)
    slope = jnp.asarray(0.5)

    def apply(x):
        # The activation may have parameters, which are traced with the rest.
        return alias_free_activation(x, lambda x: jnp.where(x > 0, x, slope * x))

    wanted = apply(maps)
    scanned = jax.lax.scan(lambda _, x: (None, jax.checkpoint(apply)(x)), None, maps)
    with jax.disable_jit():
        eager = apply(maps)
    for got in jax.jit(apply)(maps), jax.vmap(apply)(maps), scanned[1], eager:
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_shows_its_resamplings_by_name():
    x = _map((1, 5, 4, 2), jnp.float32)
    equations = jax.make_jaxpr(lambda x: alias_free_activation(x, jnp.tanh, up=3))(x)
    names = [equation.params.get("name") for equation in equations.eqns]
    assert names == [
        "ideal_upsample(factor=3, axes=2)",
        None,
        "ideal_downsample(factor=3, axes=2)",
    ]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_value_and_gradient_export(dtype):
    def value_and_gradient(x):
        out, pull = jax.vjp(lambda x: alias_free_activation(x, jax.nn.gelu), x)
        return out, pull(out)

    platforms = ("cpu", "cuda", "tpu")
    exporter = export.export(jax.jit(value_and_gradient), platforms=platforms)
    exported = exporter(jax.ShapeDtypeStruct((2, 5, 4, 3), dtype))
    assert exported.platforms == platforms


X = jnp.ones((2, 5, 4, 3))
BAD = [
    (X, jnp.tanh, {"up": 0}, ValueError, "up 0 must be at least 1"),
    (X, jnp.tanh, {"up": 1.5}, TypeError, "up takes an integer, got 1.5"),
    (X, jnp.tanh, {"axes": 0}, ValueError, "axes 0 must be 1, 2 or 3"),
    (X, jnp.tanh, {"axes": 4}, ValueError, "axes 4 must be 1, 2 or 3"),
    (X, jnp.tanh, {"axes": "2"}, TypeError, "axes takes an integer, got '2'"),
    (
        X[0, 0],
        jnp.tanh,
        {},
        ValueError,
        "axes 2 needs a map [*batch, 2 spatial axes, channels], got shape (4, 3)",
    ),
    (X.astype(int), jnp.tanh, {}, TypeError, "needs a floating-point map, got int32"),
    (X + 1j, jnp.tanh, {}, TypeError, "needs a floating-point map, got complex64"),
    (
        X,
        jnp.sum,
        {},
        ValueError,
        "the activation made shape () of (2, 10, 8, 3): it must be pointwise",
    ),
    (X, "relu", {}, TypeError, "an activation is a function, got 'relu'"),
    (X, jnp.tanh, {"up": True}, TypeError, "up takes an integer, got True"),
    ([[1.0]], jnp.tanh, {}, TypeError, "the map must be an array, got list"),
    (
        X,
        lambda x: None,
        {},
        TypeError,
        "what the activation gives must be an array, got NoneType",
    ),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("x", "activation", "options", "error", "message"), BAD)
def test_bad_input_is_answered_with_one_line(x, activation, options, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        jax.eval_shape(lambda: alias_free_activation(x, activation, **options))
    assert "\n" not in str(caught.value)
