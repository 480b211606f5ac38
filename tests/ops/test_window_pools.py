"""What is particular to min, L2, soft, log-sum-exp, median, mixed and gated pooling."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import references
from geometries import CASES, TRIAL, signed_map, smooth_map

from cnnlab.layers import Pool
from cnnlab.models import create_model
from cnnlab.ops import (
    avg_pool,
    gated_pool,
    l2_pool,
    log_sum_exp_pool,
    lp_pool,
    max_pool,
    median_pool,
    min_pool,
    mixed_pool,
    pools,
    soft_pool,
    stochastic_pool,
)
from cnnlab.ops.conformance.subject import compiled

pytestmark = pytest.mark.usefixtures("quickly_compiled")


def _soft(x, *path, s, **options):
    return soft_pool(x, *path, beta=s, **options)


def _log_sum_exp(x, *path, s, **options):
    return log_sum_exp_pool(x, *path, r=s, **options)


SMOOTH = pytest.mark.parametrize("pool", [_soft, _log_sum_exp])
LEARNED = ("mixed_pool", "gated_pool")


def _row(*entries):
    """A one-dimensional map with one channel."""
    return jnp.asarray(entries, jnp.float32)[:, None]


def _value_and_gradient(pool, x, *arguments, **options):
    @compiled
    def both(x):
        out, pull = jax.vjp(lambda x: pool(x, *arguments, **options), x)
        return out, pull(jnp.ones_like(out))[0]

    return tuple(np.asarray(values).ravel() for values in both(x))


def _map():
    return jnp.asarray(smooth_map(TRIAL.shape), jnp.float32)


def test_means_are_ordered():
    x = jnp.asarray(np.maximum(signed_map((2, 8, 8, 3)), 0))
    ordered = min_pool, avg_pool, stochastic_pool, max_pool
    outs = [pool(x, 3, 2) for pool in ordered]
    for lower, upper in zip(outs, outs[1:], strict=False):
        assert np.all(lower <= upper + 1e-6)


@pytest.mark.parametrize(
    "spec",
    ["soft_pool", "log_sum_exp_pool", "mixed_pool", "gated_pool(gating_mask=0.7)"],
)
def test_lies_between_average_and_maximum(spec):
    x = jnp.asarray(signed_map((2, 8, 8, 3)))
    out = pools.resolve(spec)(x, 3, 2)
    average, largest = avg_pool(x, 3, 2), max_pool(x, 3, 2)
    assert np.all(average <= out + 1e-6) and np.all(out <= largest + 1e-6)
    apart = largest - average > 0.1
    assert np.all((average < out)[apart]) and np.all((out < largest)[apart])


@SMOOTH
def test_sharpness_leads_from_the_average_to_the_maximum(pool):
    with jax.enable_x64(True):
        x = jnp.asarray(smooth_map(TRIAL.shape))

        @compiled
        def all_sharpnesses(x):
            return [
                TRIAL.apply(functools.partial(pool, s=10.0**e), x) for e in range(-6, 5)
            ]

        outs = all_sharpnesses(x)
        # The average of the entries on the map: padding counts as absent.
        average = TRIAL.apply(avg_pool, x, count_include_pad=False)
        np.testing.assert_allclose(outs[0], average, atol=1e-5)
        np.testing.assert_allclose(outs[-1], TRIAL.apply(max_pool, x), atol=1e-3)
        for lower, upper in zip(outs, outs[1:], strict=False):
            assert np.all(lower <= upper + 1e-9)


@SMOOTH
@pytest.mark.parametrize("offset", [-1e4, 1e4])
def test_an_offset_passes_through_without_overflow(pool, offset):
    smooth = functools.partial(pool, s=1.0)
    out, gradient = _value_and_gradient(smooth, _map(), (3, 2), 1, 1)
    moved, same = _value_and_gradient(smooth, _map() + offset, (3, 2), 1, 1)
    np.testing.assert_allclose(moved - offset, out, atol=1e-2)
    np.testing.assert_allclose(same, gradient, atol=1e-2)


@SMOOTH
@pytest.mark.parametrize("size", [1e30, 3e38])
def test_entries_of_any_size_give_the_largest_of_them(pool, size):
    x = _row(size, -size, 0)
    out, gradient = _value_and_gradient(pool, x, (3,), s=2.0)
    assert out == x[0] and gradient[0] == 1 and np.all(gradient[1:] == 0)


@SMOOTH
@pytest.mark.parametrize("padding", [0, 1])
def test_infinities_leave_the_gradient_finite(pool, padding):
    low = -jnp.inf
    x = _row(low, low, low, 2, low, 2, 1, jnp.inf, low)
    out, gradient = _value_and_gradient(pool, x, (3,), 3, s=1.0)
    assert out[0] == low and out[2] == jnp.inf
    # An entry of -inf counts in a mean of exponentials, but has no weight of its own.
    wanted = 2 if pool is _soft else 2 + np.log(2 / 3)
    np.testing.assert_allclose(out[1], wanted, rtol=1e-6)
    np.testing.assert_allclose(gradient, [0, 0, 0, 0.5, 0, 0.5, 0, 0, 0], rtol=1e-6)
    _, gradient = _value_and_gradient(pool, x, (3,), 2, padding, s=1.0)
    assert np.all(np.isfinite(gradient))


@SMOOTH
def test_padding_counts_as_absent(pool):
    x = jnp.full((3, 3, 1), 0.3)
    np.testing.assert_array_equal(pool(x, 2, 1, 1, s=1.0), max_pool(x, 2, 1, 1))


def test_log_sum_exp_of_a_constant_exceeds_it_by_the_log_of_the_count():
    out = log_sum_exp_pool(jnp.full((3, 3, 1), 0.3), 2, 1, 1, r=2.0, normalize=False)
    count = np.array([[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]])
    np.testing.assert_allclose(out[..., 0], 0.3 + np.log(count) / 2, rtol=1e-6)


@pytest.mark.parametrize("case", ["overlapping", "full", "circular", "three_axes"])
def test_min_is_minus_the_max_of_minus_the_map(case):
    case = CASES[case]
    x = jnp.asarray(signed_map(case.shape))

    def negated(x, *path, **options):
        return -max_pool(-x, *path, **options)

    got, wanted = (
        _value_and_gradient(functools.partial(case.apply, pool), x)
        for pool in (min_pool, negated)
    )
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.int32, jnp.uint8])
def test_min_of_integers_ignores_padding(dtype):
    case, limits = CASES["full"], jnp.iinfo(dtype)
    values = np.random.default_rng(0).integers(limits.min, limits.max, case.shape)
    for x in values, np.full(case.shape, limits.max):
        got = case.apply(min_pool, jnp.asarray(x, dtype))
        assert got.dtype == dtype
        wanted = references.pool("min_pool", x, *case.arguments(), case.boundary)
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("normalize", [True, False])
def test_l2_is_lp_at_two_with_gradient_zero_on_zeros(normalize):
    x = jnp.asarray(signed_map((2, 8, 8, 3)))
    for padded in True, False:
        options = {"normalize": normalize, "count_include_pad": padded}
        got = _value_and_gradient(l2_pool, x, 3, 2, 1, **options)
        wanted = _value_and_gradient(lp_pool, x, 3, 2, 1, p=2.0, **options)
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    _, gradient = _value_and_gradient(l2_pool, _row(0, 0, 0, 3, 0, 4), (3,), 3)
    assert np.all(gradient[:3] == 0) and gradient[4] == 0 and gradient[5] > 0


def test_power_means_lead_from_the_average_to_the_maximum():
    x = _map()
    average, largest = avg_pool(x, 2), max_pool(x, 2)
    means = [lp_pool(x, 2, p=1), l2_pool(x, 2), lp_pool(x, 2, p=200)]
    np.testing.assert_allclose(means[0], average, rtol=1e-6)
    assert np.all(means[0] < means[1]) and np.all(means[1] < means[2])
    np.testing.assert_allclose(means[2], largest, rtol=0.01)


@pytest.mark.parametrize("window_shape", [(3, 3), (2, 2), (3, 2), (6, 6)])
def test_median_does_not_depend_on_the_order_in_its_window(window_shape):
    entries = np.random.default_rng(0).normal(size=window_shape)
    wanted = np.median(entries).astype(np.float32)
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(entries.ravel())
        x = jnp.asarray(shuffled.reshape(*window_shape, 1), jnp.float32)
        np.testing.assert_allclose(median_pool(x, window_shape), wanted, rtol=1e-6)


@pytest.mark.parametrize("count", range(1, 9))
def test_median_of_every_pattern_of_zeros_and_ones(count):
    # A network of exchanges that sorts these sorts everything (the 0-1 principle).
    patterns = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    got = median_pool(jnp.asarray(patterns, jnp.float32)[..., None], (count,))
    np.testing.assert_array_equal(got.ravel(), np.median(patterns, axis=1))


def test_median_of_minus_the_map_is_minus_its_median():
    x = jnp.asarray(signed_map((2, 8, 8, 3)))
    np.testing.assert_array_equal(median_pool(-x, 2, 1, 1), -median_pool(x, 2, 1, 1))


def test_middle_entries_take_the_gradient_of_the_median():
    out, gradient = _value_and_gradient(median_pool, _row(5, 1, 2, 3, 9, 0), (3,), 3)
    assert out.tolist() == [2, 3] and gradient.tolist() == [0, 0, 1, 1, 0, 0]
    out, gradient = _value_and_gradient(median_pool, _row(5, 1, 2, 4), (4,))
    assert out == 3 and gradient.tolist() == [0, 0, 0.5, 0.5]
    # The first of equal ones.
    _, gradient = _value_and_gradient(median_pool, _row(0, 7, 1, 1, 1), (5,))
    assert gradient.tolist() == [0, 0, 1, 0, 0]


def test_median_is_of_the_entries_on_the_map():
    x = _row(jnp.inf, 1, 4)
    out, gradient = _value_and_gradient(median_pool, x, (3,), 1, (((3, 1)),))
    np.testing.assert_array_equal(out, [jnp.nan, jnp.inf, jnp.inf, 4, 2.5])
    assert gradient.tolist() == [1.5, 1, 1.5]


def test_median_of_large_entries_does_not_overflow():
    x = jnp.full((4, 1), 3e38)
    assert median_pool(x, (4,)) == x[0]


@pytest.mark.parametrize("path", [(3, 2, "SAME"), (2,), ((2, 3), 1, "FULL")])
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_mixed_is_exactly_the_average_and_the_maximum_at_its_ends(alpha, counted, path):
    x = jnp.asarray(signed_map((2, 5, 6, 3)))
    mixed = functools.partial(mixed_pool, count_include_pad=counted)
    average = functools.partial(avg_pool, count_include_pad=counted)
    got = _value_and_gradient(mixed, x, *path, alpha=alpha)
    wanted = _value_and_gradient(max_pool if alpha else average, x, *path)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_gate_starts_as_the_even_mixture_and_opens_to_the_maximum():
    x = _map()
    path = (3, 2), 1, 1
    start, even = gated_pool(x, *path), mixed_pool(x, *path, alpha=0.5)
    np.testing.assert_allclose(start, even, rtol=1e-6)
    for mask, end in (1e3, max_pool), (-1e3, avg_pool):
        opened = gated_pool(x, *path, gating_mask=mask)
        np.testing.assert_allclose(opened, end(x, *path), rtol=1e-6)


@pytest.mark.parametrize("case", ["asymmetric", "full", "reflect", "three_axes"])
def test_the_gating_mask_lies_on_the_window_as_it_is_written(case):
    case = CASES[case]
    x = signed_map(case.shape)
    mask = np.random.default_rng(0).normal(size=case.window_shape)
    got = case.apply(gated_pool, jnp.asarray(x), gating_mask=mask.astype(np.float32))
    wanted = references.pool(
        "gated_pool", x, *case.arguments(), case.boundary, gating_mask=mask
    )
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "weight"), [("mixed_pool", "alpha"), ("gated_pool", "gating_mask")]
)
def test_gradient_of_the_learned_weight_equals_finite_differences(name, weight):
    with jax.enable_x64(True):
        x = jnp.asarray(smooth_map(TRIAL.shape))
        rng = np.random.default_rng(0)
        shape = () if weight == "alpha" else (3, 2)
        at, along = jnp.asarray(rng.normal(size=(2, *shape)) * 0.1)

        def loss(value):
            return jnp.sin(TRIAL.apply(pools[name], x, **{weight: value})).sum()

        @compiled
        def all_slopes(at, along):
            _, slope = jax.jvp(loss, (at,), (along,))
            ahead, behind = jax.vmap(loss)(
                jnp.stack([at + 1e-6 * along, at - 1e-6 * along])
            )
            pulled = jnp.vdot(jax.grad(loss)(at), along)
            return slope, (ahead - behind) / 2e-6, pulled

        slope, measured, pulled = all_slopes(at, along)
        np.testing.assert_allclose(slope, measured, rtol=1e-6)
        np.testing.assert_allclose(pulled, slope)


def _changes_in_one_step(module, x):
    """Every parameter before and after one step of gradient descent, by its path."""
    variables = module.init(jax.random.key(0), x)

    @jax.jit
    def step(variables):
        gradient = jax.grad(lambda v: jnp.sin(module.apply(v, x)).sum())(variables)
        return optax.apply_updates(variables, optax.tree.scale(-0.1, gradient))

    before, after = (
        jax.tree_util.tree_leaves_with_path(tree)
        for tree in (variables, step(variables))
    )
    for (path, old), (_, new) in zip(before, after, strict=True):
        yield jax.tree_util.keystr(path), old, new


@pytest.mark.parametrize("name", LEARNED)
def test_the_layer_learns_its_weight(name):
    ((path, before, after),) = _changes_in_one_step(Pool(name, (3, 2)), _map())
    (weight,) = pools[name].weights
    assert weight in path
    assert before.shape == (() if name == "mixed_pool" else (3, 2))
    assert np.all(np.isfinite(after)) and np.all(after != before)


@pytest.mark.parametrize("name", LEARNED)
def test_a_model_learns_the_weight_of_each_of_its_pools(name):
    x = np.random.default_rng(1).normal(size=(2, 28, 28, 1)).astype(np.float32)
    changes = _changes_in_one_step(create_model("lenet5", pool=name), x)
    learned = [(b, a) for path, b, a in changes if "Pool_" in path]
    assert len(learned) == 2
    for before, after in learned:
        assert np.all(np.isfinite(after)) and np.any(after != before)


X = jnp.ones((2, 5, 4, 3))
INTEGERS = jnp.ones((2, 5, 4, 3), jnp.int32)
REFUSED = [
    *(
        (spec, INTEGERS, TypeError, "a mean needs a floating-point map, got int32")
        for spec in (
            *("l2_pool", "soft_pool", "log_sum_exp_pool"),
            *("median_pool", "mixed_pool", "gated_pool"),
        )
    ),
    ("soft_pool(beta=0)", X, ValueError, "beta 0 must be a finite number above 0"),
    ("soft_pool(beta='1')", X, TypeError, "beta takes a number, got '1'"),
    ("log_sum_exp_pool(r=-1)", X, ValueError, "r -1 must be a finite number above 0"),
    ("log_sum_exp_pool(r=1e999)", X, ValueError, "r inf must be a finite number"),
    ("log_sum_exp_pool(r=None)", X, TypeError, "r takes a number, got None"),
    (
        "mixed_pool(alpha=(0.5, 0.5))",
        X,
        ValueError,
        "alpha of shape (2,) must have shape (), or be one number",
    ),
    (
        "gated_pool(gating_mask=(1, 2))",
        X,
        ValueError,
        "gating_mask of shape (2,) must have shape (2, 2), or be one number",
    ),
    ("min_pool(p=2)", X, ValueError, "min_pool has no option 'p'; its options: bound"),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("spec", "x", "error", "message"), REFUSED)
def test_call_is_refused_at_trace_time_in_one_line(spec, x, error, message):
    with pytest.raises(error, match=re.escape(message)) as raised:
        jax.eval_shape(lambda x: pools.resolve(spec)(x, 2), x)
    assert raised.type is error and "\n" not in str(raised.value)
