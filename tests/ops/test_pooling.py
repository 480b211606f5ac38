"""What is particular to max, average and Lp pooling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from geometries import CASES, TRIAL, signed_map, smooth_map

from cnnlab.ops import avg_pool, lp_pool, max_pool, pools

HOMOGENEOUS = ("max_pool", "avg_pool", "lp_pool(p=8)", "lp_pool(p=1.5)")
HOMOGENEOUS += ("stochastic_pool",)


def _row(*entries):
    """A one-dimensional map with one channel."""
    return jnp.asarray(entries, jnp.float32)[:, None]


def _gradient(pool, x, *arguments, **options):
    return jax.grad(lambda x: pool(x, *arguments, **options).sum())(x).ravel()


@pytest.mark.parametrize("size", [1e-30, 1e30])
@pytest.mark.parametrize("spec", HOMOGENEOUS)
def test_scale_passes_through_without_overflow(spec, size):
    pool, x = pools.resolve(spec), jnp.asarray(smooth_map(TRIAL.shape), jnp.float32)
    scaled = TRIAL.apply(pool, x * size)
    np.testing.assert_allclose(scaled, TRIAL.apply(pool, x) * size, rtol=1e-5)
    gradient = jax.grad(lambda x: TRIAL.apply(pool, x).sum())
    np.testing.assert_allclose(gradient(x * size), gradient(x), atol=1e-6)


def test_means_are_ordered():
    x = jnp.asarray(np.maximum(signed_map((2, 8, 8, 3)), 0))
    average, power, expected, largest = (
        pools[name](x, 3, 2)
        for name in ("avg_pool", "lp_pool", "stochastic_pool", "max_pool")
    )
    for lower, upper in (average, power), (power, largest):
        assert np.all(lower <= upper + 1e-6)
    for lower, upper in (average, expected), (expected, largest):
        assert np.all(lower <= upper + 1e-6)


def test_first_of_equal_entries_takes_the_whole_gradient():
    gradient = _gradient(max_pool, _row(1, 2, 2, 0, 0, 0), (3,), 3)
    assert gradient.tolist() == [0, 1, 0, 1, 0, 0]


def test_first_is_row_major():
    x = jnp.asarray([[0.0, 1.0], [1.0, 1.0]])[..., None]
    assert _gradient(max_pool, x, 2).tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("boundary", ["zero", "edge"])
def test_gradient_of_minus_infinity_goes_to_an_entry_of_the_map(boundary):
    x = jnp.full((2, 2, 1), -jnp.inf)
    gradient = _gradient(max_pool, x, 3, 1, 1, boundary=boundary)
    assert gradient.sum() == 4
    if boundary == "zero":
        assert gradient.tolist() == [4, 0, 0, 0]


def test_nan_is_the_largest_and_takes_the_gradient():
    x = _row(1, jnp.nan, 3, 2, 0, 1)
    np.testing.assert_array_equal(max_pool(x, (3,), 3).ravel(), [jnp.nan, 2])
    assert _gradient(max_pool, x, (3,), 3).tolist() == [0, 1, 0, 1, 0, 0]


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.int32, jnp.uint8])
def test_max_of_integers_ignores_padding(dtype):
    case, limits = CASES["full"], jnp.iinfo(dtype)
    values = np.random.default_rng(0).integers(limits.min, limits.max, case.shape)
    # A whole map at the extreme that stands for "nothing here" stays as it is.
    for x in values, np.full(case.shape, limits.min):
        got = case.apply(max_pool, jnp.asarray(x, dtype))
        assert got.dtype == dtype
        wanted = references.pool("max_pool", x, *case.arguments(), case.boundary)
        np.testing.assert_array_equal(got, wanted)


def test_max_of_negative_entries_ignores_padding():
    x = -jnp.ones((2, 2, 1))
    assert np.all(max_pool(x, 3, 1, 1) == -1)


def test_average_counts_padding_only_if_told():
    x = jnp.ones((2, 2, 1))
    counted = avg_pool(x, 2, 1, 1)
    assert counted[0, 0, 0] == 1 / 4 and counted[0, 1, 0] == 1 / 2
    assert np.all(avg_pool(x, 2, 1, 1, count_include_pad=False) == 1)


def test_p_of_one_is_the_average_magnitude():
    x = jnp.asarray(signed_map(TRIAL.shape))
    got, wanted = TRIAL.apply(lp_pool, x, p=1), TRIAL.apply(avg_pool, abs(x))
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_large_p_tends_to_the_largest_magnitude():
    x = jnp.asarray(signed_map(TRIAL.shape))
    largest = TRIAL.apply(max_pool, abs(x))
    gaps = [largest - TRIAL.apply(lp_pool, x, p=p) for p in (4, 40, 400)]
    assert np.all(gaps[0] >= gaps[1]) and np.all(gaps[1] >= gaps[2])
    # A mean over n entries falls short by the factor n^(-1/p) at most.
    np.testing.assert_array_less(gaps[2], largest * (1 - 9 ** (-1 / 400)) + 1e-5)


@pytest.mark.parametrize("p", [1, 1.5, 2, 7.5])
def test_lp_gradient_is_zero_on_a_window_of_zeros(p):
    # The last window has entries above 0 beside its zeros.
    x = _row(0, 0, 0, 3, 0, 4)
    gradient = _gradient(lp_pool, x, (3,), 3, p=p)
    assert np.all(gradient[:3] == 0) and np.all(gradient[jnp.array([3, 5])] > 0)
    assert gradient[4] == 0 or p == 1


@pytest.mark.parametrize("p", [1, 1.5])
def test_lp_hessian_is_finite_at_zeros(p):
    x = _row(0, 0, 0, 3, 0, 4)
    hessian = jax.hessian(lambda x: jnp.square(lp_pool(x, (3,), 3, p=p)).sum())(x)
    assert np.all(np.isfinite(hessian))


@pytest.mark.parametrize("name", ["max_pool", "avg_pool", "lp_pool"])
def test_infinity_stays_infinity(name):
    assert pools[name](_row(1, jnp.inf, 2), (3,)).item() == jnp.inf


def test_windows_wholly_on_the_padding_hold_nothing():
    x = jnp.ones((2, 1))
    assert max_pool(x, (1,), 1, 1).ravel().tolist() == [-jnp.inf, 1, 1, -jnp.inf]
    assert avg_pool(x, (1,), 1, 1).ravel().tolist() == [0, 1, 1, 0]


def test_sizes_may_be_lists_and_numbers_of_numpy(unchecked):
    x = jnp.asarray(signed_map(TRIAL.shape))
    got = lp_pool(x, np.int64(3), np.int64(2), np.int64(1), p=np.float32(3))
    np.testing.assert_array_equal(got, lp_pool(x, 3, 2, 1, p=3))
    np.testing.assert_array_equal(got, lp_pool(x, [3, 3], [2, 2], [[1, 1]] * 2, p=3.0))
