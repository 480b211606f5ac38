"""Local response normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from geometries import signed_map, smooth_map

from cnnlab.ops import local_response_norm

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
