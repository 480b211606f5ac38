"""Local response and batch normalisation."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from geometries import signed_map, smooth_map

from cnnlab.ops import batch_norm, batch_statistics, local_response_norm

OPTIONS = [
    {},
    {"size": 3, "k": 1.0, "alpha": 0.5, "beta": 0.5},
    {"size": 4, "k": 0.5, "alpha": 0.3},
    {"size": 1, "alpha": 1.0},
    {"size": 11, "alpha": 0.1, "beta": 1.0},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shape", [(2, 3, 2, 7), (4,), (3, 1)])
def test_equals_the_reference(shape, options):
    x = 3 * signed_map(shape)
    got = local_response_norm(jnp.asarray(x), **options)
    wanted = references.local_response_norm(x, **options)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_float32_rounded_once(dtype):
    # The square of a large entry leaves the range of float16.
    x = jnp.asarray(400 * smooth_map((2, 5)), dtype)
    got = local_response_norm(x, alpha=0.1)
    once = local_response_norm(x.astype(jnp.float32), alpha=0.1).astype(dtype)
    assert got.dtype == dtype and np.all(np.isfinite(got))
    np.testing.assert_array_equal(got, once)


def test_derivative_equals_finite_differences():
    with jax.enable_x64(True):
        x, tangent = (jnp.asarray(smooth_map((3, 6), seed)) for seed in (0, 1))

        def apply(x):
            return local_response_norm(x, alpha=0.5, size=4)

        _, exact = jax.jvp(apply, (x,), (tangent,))
        step = 1e-6
        measured = (apply(x + step * tangent) - apply(x - step * tangent)) / (2 * step)
        assert exact.dtype == jnp.float64
        np.testing.assert_allclose(exact, measured, rtol=1e-6, atol=1e-8)


def test_is_one_named_equation():
    (equation,) = jax.make_jaxpr(local_response_norm)(jnp.ones((2, 4))).eqns
    assert equation.params["name"] == (
        "local_response_norm(size=5, k=2.0, alpha=0.0001, beta=0.75)"
    )


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_batch_normalisation_is_two_named_equations(dtype):
    x, ones = jnp.ones((2, 3, 4), dtype), jnp.ones(4)

    def apply(x):
        mean, variance = batch_statistics(x)
        return batch_norm(x, mean, variance, ones, ones)

    equations = jax.make_jaxpr(apply)(x).eqns
    names = [equation.params["name"] for equation in equations]
    assert names == ["batch_statistics", "batch_norm(epsilon=1e-05)"]


def test_an_empty_batch_is_normalised_to_none():
    x, ones = jnp.zeros((0, 5, 4, 3)), jnp.ones(3)
    out, pull = jax.vjp(lambda x: batch_norm(x, *[ones] * 4), x)
    assert out.shape == pull(out)[0].shape == x.shape
    # There is no mean of nothing.
    assert np.all(np.isnan(batch_statistics(x)))


X, ONES = jnp.ones((2, 3, 4)), jnp.ones(4)
REFUSED = [
    (
        lambda: batch_statistics([[1.0]]),
        TypeError,
        "the map must be an array, got list",
    ),
    (
        lambda: batch_statistics(jnp.ones(())),
        ValueError,
        "the map must have an axis of channels, got shape ()",
    ),
    (
        lambda: batch_statistics(X.astype(int)),
        TypeError,
        "a mean needs a floating-point map, got int32",
    ),
    (
        lambda: batch_norm([[1.0]], *[ONES] * 4),
        TypeError,
        "the map must be an array, got list",
    ),
    (
        lambda: batch_norm(X, ONES, [1.0] * 4, ONES, ONES),
        TypeError,
        "variance must be an array, got list",
    ),
    (
        lambda: batch_norm(X, *[ONES] * 4, epsilon="a"),
        TypeError,
        "epsilon takes a number, got 'a'",
    ),
    (
        lambda: local_response_norm([[1.0]]),
        TypeError,
        "the map must be an array, got list",
    ),
    (
        lambda: local_response_norm(X, size=2.0),
        TypeError,
        "size takes an integer, got 2.0",
    ),
    (lambda: local_response_norm(X, k="a"), TypeError, "k takes a number, got 'a'"),
    (
        lambda: local_response_norm(X, beta=None),
        TypeError,
        "beta takes a number, got None",
    ),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_bad_input_is_answered_with_one_line(call, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        jax.eval_shape(call)
    assert "\n" not in str(caught.value)
