"""Content-adaptive blur, at weights that it would have learned."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from geometries import CASES, TRIAL, signed_map, smooth_map

from cnnlab.ops.adaptive_blur import adaptive_blur_pool, groups_of
from cnnlab.ops.antialiasing import blur_pool
from cnnlab.ops.pool_definition import weights_of

X = jnp.ones((1, 5, 4, 3))


def _weights(window_shape, channels, scale=0.5, seed=0):
    """Random weights of the shapes of the initial ones."""
    rng = np.random.default_rng(seed)
    first = weights_of(adaptive_blur_pool, window_shape, channels)
    return {
        name: jnp.asarray(value + scale * rng.normal(size=value.shape), jnp.float32)
        for name, value in first.items()
    }


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("case", ["full", "circular", "three_axes"])
def test_learned_weights_equal_the_reference(case, counted):
    case = CASES[case]
    x = signed_map(case.shape)
    options = _weights(case.window_shape, case.shape[-1])
    options["count_include_pad"] = counted
    got = case.apply(adaptive_blur_pool, jnp.asarray(x), **options)
    wanted = references.pool(
        "adaptive_blur_pool", x, *case.arguments(), case.boundary, **options
    )
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [3, 12, 16])
def test_groups_of_channels_have_a_filter_each(channels):
    x = signed_map((1, 3, 3, channels))
    options = _weights(2, channels)
    got = adaptive_blur_pool(jnp.asarray(x), 2, **options)
    wanted = references.pool("adaptive_blur_pool", x, 2, **options)
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=1e-5)
    assert groups_of(channels) == {3: 1, 12: 4, 16: 8}[channels]


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("case", ["circular", "full", "three_axes"])
def test_it_begins_as_blur_pool(case, counted):
    case = CASES[case]
    x = jnp.asarray(signed_map(case.shape))
    got = case.apply(adaptive_blur_pool, x, count_include_pad=counted)
    wanted = case.apply(blur_pool, x, count_include_pad=counted)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_weights_receive_a_gradient_from_the_start():
    x = jnp.asarray(smooth_map(TRIAL.shape), jnp.float32)
    first = weights_of(adaptive_blur_pool, TRIAL.window_shape, TRIAL.shape[-1])

    def loss(weights):
        return jnp.square(TRIAL.apply(adaptive_blur_pool, x, **weights)).sum()

    gradients = jax.jit(jax.grad(loss))(jax.tree.map(jnp.asarray, first))
    for gradient in gradients.values():
        assert np.all(np.isfinite(gradient))
        assert np.mean(gradient != 0) > 0.9


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
def test_constants_are_fixed_points_of_any_filter(padding):
    x = jnp.full((1, 5, 6, 2), 0.7)
    out = adaptive_blur_pool(
        x, 3, 2, padding, count_include_pad=False, **_weights(3, 2, scale=3.0)
    )
    np.testing.assert_allclose(out, 0.7, rtol=1e-6)


def test_shift_by_the_strides_shifts_the_result_by_one():
    x = jnp.asarray(signed_map((1, 6, 9, 2)))
    pool = functools.partial(
        adaptive_blur_pool, strides=3, padding="SAME", boundary="circular"
    )
    pool = functools.partial(pool, window_shape=3, **_weights(3, 2))
    shifted = pool(jnp.roll(x, (3, -3), (1, 2)))
    wanted = jnp.roll(pool(x), (1, -1), (1, 2))
    np.testing.assert_allclose(shifted, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_logits_of_any_size_give_finite_values_and_gradients(scale):
    x = scale * jnp.asarray(signed_map(TRIAL.shape))
    weights = _weights(TRIAL.window_shape, TRIAL.shape[-1])

    def loss(x, weights):
        return (TRIAL.apply(adaptive_blur_pool, x, **weights) / scale).sum()

    derivatives = jax.jit(jax.value_and_grad(loss, (0, 1)))(x, weights)
    for derivative in jax.tree.leaves(derivatives):
        assert np.all(np.isfinite(derivative))


REFUSED = [
    (
        {"projection": jnp.ones((3, 3, 3, 8))},
        ValueError,
        "projection of shape (3, 3, 3, 8) must have shape (3, 3, 3, 9)",
    ),
    (
        {"bias": jnp.ones(8)},
        ValueError,
        "bias of shape (8,) must have shape (9,), or be one number",
    ),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("weights", "error", "message"), REFUSED)
def test_weights_of_another_shape_are_refused(weights, error, message):
    with pytest.raises(error, match=re.escape(message)):
        adaptive_blur_pool(X, 3, **weights)
