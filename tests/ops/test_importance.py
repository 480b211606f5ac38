"""Local importance-based pooling: a mean that learns what is important."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from geometries import CASES, TRIAL, signed_map, smooth_map
from jax.test_util import check_grads

from cnnlab.ops import avg_pool, max_pool
from cnnlab.ops.importance import lip_pool
from cnnlab.ops.pool_definition import weights_of

pytestmark = pytest.mark.usefixtures("quickly_compiled")


def _weights(channels, seed=0):
    rng = np.random.default_rng(seed)
    projection = rng.normal(size=(channels, channels))
    return {"projection": projection, "bias": rng.normal(size=channels)}


@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference_with_weights_that_mix_channels(case):
    case = CASES[case]
    x, weights = signed_map(case.shape), _weights(case.shape[-1])
    got = case.apply(lip_pool, jnp.asarray(x), **weights)
    path = *case.arguments(), case.boundary
    wanted = references.pool("lip_pool", x, *path, **weights)
    np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=1e-5)


def test_without_projection_is_the_mean_of_what_lies_on_the_map():
    x = jnp.asarray(signed_map(TRIAL.shape))
    got = TRIAL.apply(lip_pool, x, projection=0.0, bias=1.5)
    mean = TRIAL.apply(avg_pool, x, count_include_pad=False)
    np.testing.assert_allclose(got, mean, rtol=1e-5, atol=1e-6)


def test_starts_between_mean_and_maximum_and_nearer_the_mean():
    x = jnp.asarray(smooth_map((2, 6, 6, 3)), jnp.float32)
    mean, start, largest = (pool(x, 2, 2) for pool in (avg_pool, lip_pool, max_pool))
    assert np.all((mean < start) & (start < (mean + largest) / 2))


@pytest.mark.parametrize("gain", [1e2, -1e2])
def test_a_steep_projection_selects_an_extreme(gain):
    # One channel, entries so far apart that all gates but one or none are shut.
    x = jnp.asarray([3.0, -2, -4, -1])[:, None]
    out = lip_pool(x, (4,), projection=gain, bias=0.0)
    kept = x[x * gain > 0]
    np.testing.assert_allclose(out.item(), kept.mean(), rtol=1e-4)


def test_every_weight_has_a_gradient_where_it_starts():
    x = jnp.asarray(smooth_map((2, 6, 6, 3), low=-1, high=1), jnp.float32)
    start = {
        name: jnp.asarray(value, jnp.float32)
        for name, value in weights_of(lip_pool, 3, 3).items()
    }

    def loss(weights):
        out = lip_pool(x, 3, 2, **weights)
        return jnp.vdot(jnp.cos(jnp.arange(out.size)), out.ravel())

    gradients = jax.grad(loss)(start)
    assert set(gradients) == {"projection", "bias"}
    # Far above what rounding would leave of a zero.
    assert all(np.all(np.abs(g) > 1e-5) for g in gradients.values())


def test_gradients_of_the_weights_equal_finite_differences():
    with jax.enable_x64(True):
        x, weights = jnp.asarray(smooth_map(TRIAL.shape)), _weights(2)

        def loss(weights):
            return jnp.sin(TRIAL.apply(lip_pool, x, **weights)).sum()

        weights = jax.tree.map(jnp.asarray, weights)
        check_grads(loss, (weights,), order=1, rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_large_entries_do_not_overflow(dtype):
    large = float(jnp.finfo(dtype).max) / 8
    x = jnp.asarray([[large], [-large], [large / 2]], dtype)

    def pooled(x):
        return lip_pool(x, (3,), projection=1.0).sum()

    out, gradient = jax.value_and_grad(pooled)(x)
    # The two gates that are open weigh alike.
    np.testing.assert_allclose(float(out), 0.75 * large, rtol=1e-2)
    assert np.all(np.isfinite(gradient))


def test_a_window_of_padding_alone_gives_zero_with_gradient_zero():
    out, pull = jax.vjp(lambda x: lip_pool(x, (2,), 2, ((2, 0),)), jnp.ones((2, 1)))
    np.testing.assert_array_equal(out, [[0], [1]])
    np.testing.assert_allclose(pull(jnp.ones((2, 1)))[0], 0.5, rtol=1e-6)


X = jnp.ones((2, 5, 4, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: lip_pool(X, 2, projection=jnp.ones((3, 2))),
            ValueError,
            r"projection of shape \(3, 2\) must have shape \(3, 3\), or be one number",
        ),
        (
            lambda: lip_pool(X, 2, bias=jnp.ones(2)),
            ValueError,
            r"bias of shape \(2,\) must have shape \(3,\), or be one number",
        ),
        (
            lambda: lip_pool(X.astype(jnp.int32), 2),
            TypeError,
            "a mean needs a floating-point map, got int32",
        ),
    ],
)
def test_bad_calls(unchecked, call, error, message):
    with pytest.raises(error, match=message):
        call()
