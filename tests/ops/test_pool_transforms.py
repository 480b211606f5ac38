"""Every registered pool under every transformation that JAX offers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from geometries import TRIAL, modes, smooth_map

pytestmark = pytest.mark.parametrize("pool", list(modes()))


@pytest.fixture
def apply(pool):
    """The pool as a function of the map alone, along TRIAL."""
    return functools.partial(TRIAL.apply, pool)


@pytest.fixture
def loss(apply):
    """A scalar of the map in which every pooled entry counts differently."""

    def loss(x):
        out = apply(x)
        return jnp.vdot(jnp.cos(jnp.arange(out.size)), jnp.sin(out).ravel())

    return loss


def _map(seed=0):
    return jnp.asarray(smooth_map(TRIAL.shape, seed), jnp.float32)


def test_first_and_second_derivatives_equal_finite_differences(loss):
    def slope_and_gradient(x, tangent):
        return jax.jvp(jax.value_and_grad(loss), (x,), (tangent,))

    @jax.jit
    def exact_and_measured(x, tangent, step=1e-5):
        # One call at three points, so that it is compiled once.
        points = jnp.stack([x, x + step * tangent, x - step * tangent])
        values, derivatives = jax.vmap(slope_and_gradient, (0, None))(points, tangent)
        exact = jax.tree.map(lambda d: d[0], derivatives)
        return exact, jax.tree.map(lambda v: (v[1] - v[2]) / (2 * step), values)

    with jax.enable_x64(True):
        x, tangent = (jnp.asarray(smooth_map(TRIAL.shape, seed)) for seed in (0, 1))
        exact, measured = exact_and_measured(x, tangent)
        for got, wanted in zip(exact, measured, strict=True):
            assert got.dtype == jnp.float64 and np.any(got != 0)
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


def test_eager_equals_jit(apply):
    with jax.disable_jit():
        eager = apply(_map())
    np.testing.assert_allclose(apply(_map()), eager, rtol=1e-6)
    np.testing.assert_array_equal(jax.jit(apply)(_map()), apply(_map()))


def test_jvp_linearize_and_vjp_agree(apply):
    @jax.jit
    def all_three(x, tangent):
        out, pushed = jax.jvp(apply, (x,), (tangent,))
        linearized, push = jax.linearize(apply, x)
        (pulled,) = jax.vjp(apply, x)[1](out)
        agreement = jnp.vdot(pushed, out), jnp.vdot(tangent, pulled)
        return (out, linearized), (pushed, push(tangent)), agreement

    for one, other in all_three(_map(0), _map(1)):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    (out, _), _, _ = all_three(_map(0), _map(1))
    np.testing.assert_allclose(out, apply(_map(0)), rtol=1e-6)


def test_vmap_of_grad_scan_and_remat_give_the_same_gradients(loss):
    maps = jnp.stack([_map(0), _map(1)])
    gradient = jax.jit(jax.grad(loss))
    apart = jnp.stack([gradient(x) for x in maps])
    remat = jax.checkpoint(loss)

    def scanned(maps):
        return jax.lax.scan(lambda total, x: (total + remat(x), None), 0.0, maps)[0]

    for together in jax.vmap(gradient), jax.grad(scanned):
        got = jax.jit(together)(maps)
        np.testing.assert_allclose(got, apart, rtol=1e-5, atol=1e-6)


def test_derivatives_are_finite_at_zeros(loss):
    @jax.jit
    def derivatives(x, tangent):
        return jax.jvp(jax.grad(loss), (x,), (tangent,))

    for share_above_zero in 0, 0.5:
        kept = _map(1) > np.quantile(_map(1), 1 - share_above_zero)
        for derivative in derivatives(_map(0) * kept, _map(2)):
            assert np.all(np.isfinite(derivative))
