"""Switches say where the maxima were; unpooling puts them back."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from geometries import CASES, TRIAL, signed_map, smooth_map
from jax import export
from references.loops import place as place_of_tap

from cnnlab.ops import max_pool
from cnnlab.ops.conformance.subject import compiled
from cnnlab.ops.unpooling import max_pool_with_switches, max_unpool

pytestmark = pytest.mark.usefixtures("quickly_compiled")

EVERY_CASE = pytest.mark.parametrize("case", CASES)


def _rank(case):
    return 2 if isinstance(case.window_shape, int) else len(case.window_shape)


def _spatial(case):
    return case.shape[-_rank(case) - 1 : -1]


def _unpool(case, pooled, switches, **options):
    return max_unpool(
        pooled,
        switches,
        _spatial(case),
        *case.arguments(),
        boundary=case.boundary,
        **options,
    )


def _pool(case, x):
    return case.apply(max_pool_with_switches, x)


class Results(NamedTuple):
    """What is made of a map of both signs with ties, and of a map without."""

    x: np.ndarray
    pooled: np.ndarray
    switches: np.ndarray
    maxima: np.ndarray
    gradient: np.ndarray
    summed: np.ndarray
    distinct: np.ndarray
    distinct_pooled: np.ndarray
    kept: np.ndarray


@functools.cache
def _results(name):
    case = CASES[name]

    @compiled
    def run(x, distinct):
        pooled, switches = _pool(case, x)
        maxima, pull = jax.vjp(functools.partial(case.apply, max_pool), x)
        held = jnp.cos(jnp.arange(pooled.size, dtype=jnp.float32))
        held = held.reshape(pooled.shape)
        summed = _unpool(case, held, switches, overlap="sum")
        distinct_pooled, places = _pool(case, distinct)
        kept = _unpool(case, distinct_pooled, places)
        return Results(
            *(x, pooled, switches, maxima, pull(held)[0], summed),
            *(distinct, distinct_pooled, kept),
        )

    maps = signed_map(case.shape), smooth_map(case.shape).astype(np.float32)
    return jax.tree.map(np.asarray, run(*maps))


@EVERY_CASE
def test_maxima_are_those_of_max_pool(case):
    results = _results(case)
    np.testing.assert_array_equal(results.pooled, results.maxima)
    assert results.switches.shape == results.pooled.shape
    assert results.switches.dtype == np.int32


@EVERY_CASE
def test_switches_are_the_first_maximum_of_each_window(case):
    switches = _results(case).switches
    case = CASES[case]
    x = signed_map(case.shape)
    path = *case.arguments(), case.boundary
    # The loops leave out what lies on the padding, so number the taps that are left.
    numbers = references.apply(lambda entries, taps: entries.argmax(axis=0), x, *path)
    rank = _rank(case)
    window = references.each(case.window_shape, rank)
    strides = references.each(case.strides, rank)
    spatial = _spatial(case)
    pairs = references.padding_pairs(case.padding, spatial, window, strides)
    leading = len(case.shape) - rank - 1
    for place in np.ndindex(switches.shape):
        corner = place[leading:-1]
        on_the_map = [
            i
            for i, offset in enumerate(np.ndindex(window))
            if place_of_tap(corner, offset, strides, pairs, spatial, case.boundary)
        ]
        assert switches[place] == on_the_map[int(numbers[place])]


@EVERY_CASE
def test_unpooling_keeps_the_winners_and_nothing_else(case):
    results = _results(case)
    x, kept = results.distinct, results.kept
    assert kept.shape == x.shape and kept.dtype == x.dtype
    won = np.isin(x, results.distinct_pooled)
    np.testing.assert_array_equal(kept, np.where(won, x, 0))


@EVERY_CASE
def test_summed_it_is_the_gradient_of_max_pooling(case):
    results = _results(case)
    np.testing.assert_allclose(results.summed, results.gradient, rtol=1e-5, atol=1e-6)


def test_windows_that_share_a_winner_are_averaged():
    x = jnp.asarray([0.0, 9, 0, 5, 0])[:, None]
    _, switches = max_pool_with_switches(x, (3,))
    # The first two windows hold 9, the last 5.
    held = jnp.asarray([1.0, 4, 6])[:, None]
    mean = max_unpool(held, switches, (5,), (3,))
    np.testing.assert_array_equal(mean[:, 0], [0, 2.5, 0, 6, 0])
    total = max_unpool(held, switches, (5,), (3,), overlap="sum")
    np.testing.assert_array_equal(total[:, 0], [0, 5, 0, 6, 0])


@pytest.mark.parametrize("overlap", ["mean", "sum"])
def test_gradient_of_unpooling(overlap):
    with jax.enable_x64(True):
        x = jnp.asarray(smooth_map(TRIAL.shape))
        pooled, switches = _pool(TRIAL, x)
        unpool = functools.partial(_unpool, TRIAL, overlap=overlap)

        def along(held):
            return unpool(held, switches)

        # It is linear, so that its derivative is itself.
        _, pushed = jax.jvp(along, (pooled,), (pooled**2,))
        np.testing.assert_allclose(pushed, along(pooled**2), rtol=1e-12)
        _, pull = jax.vjp(along, pooled)
        agreement = jnp.vdot(pushed, x), jnp.vdot(pooled**2, pull(x)[0])
        np.testing.assert_allclose(*agreement, rtol=1e-12)


def test_gradient_through_the_maxima_is_that_of_max_pool():
    x = jnp.asarray(signed_map(TRIAL.shape))

    def loss(pool, x):
        return jnp.sin(pool(x)).sum()

    def ours(x):
        return _pool(TRIAL, x)[0]

    wanted = jax.grad(functools.partial(loss, functools.partial(TRIAL.apply, max_pool)))
    got = jax.jit(jax.grad(functools.partial(loss, ours)))
    np.testing.assert_allclose(got(x), wanted(x), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_float32_rounded_once(dtype):
    _, switches = _pool(TRIAL, jnp.asarray(smooth_map(TRIAL.shape), dtype))
    held = jnp.asarray(smooth_map(switches.shape, seed=1), dtype)
    for overlap in "mean", "sum":
        got = _unpool(TRIAL, held, switches, overlap=overlap)
        wide = _unpool(TRIAL, held.astype(jnp.float32), switches, overlap=overlap)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, wide.astype(dtype))


@pytest.mark.parametrize("value", [-np.inf, np.inf, np.finfo(np.float32).max])
def test_extreme_maxima_come_back_as_they_were(value):
    x = jnp.asarray(smooth_map((1, 5, 5, 1)), jnp.float32).at[0, 2, 2].set(value)
    pooled, switches = max_pool_with_switches(x, 3)
    kept = max_unpool(pooled, switches, (5, 5), 3)
    assert np.all(kept == np.where(np.isin(x, pooled), x, 0))
    assert (kept[0, 2, 2, 0] == value) == (value > 0)


def test_the_switch_of_nan_is_the_one_that_takes_max_pools_gradient():
    x = jnp.asarray([1, jnp.nan, 3, jnp.nan, 5])[:, None]
    pooled, switches = max_pool_with_switches(x, (5,))
    gradient = jax.grad(lambda x: max_pool(x, (5,)).sum())(x)
    assert np.isnan(pooled.item()) and switches.item() == np.argmax(gradient)


@pytest.mark.parametrize("boundary", ["zero", "circular"])
def test_switches_move_with_the_map(boundary):
    x = jnp.asarray(smooth_map((8, 8, 1)), jnp.float32)
    shifted = jnp.roll(x, (2, 2), (0, 1))
    path = (3, 2, ((1, 0), (1, 0)))
    _, switches = max_pool_with_switches(x, *path, boundary=boundary)
    _, moved = max_pool_with_switches(shifted, *path, boundary=boundary)
    inside = slice(2, None) if boundary == "zero" else slice(None)
    back = jnp.roll(switches, (1, 1), (0, 1))
    np.testing.assert_array_equal(moved[inside, inside], back[inside, inside])


def test_jit_vmap_and_scan_give_the_same():
    x = jnp.asarray(signed_map(TRIAL.shape))

    def there_and_back(image):
        return _unpool(TRIAL, *_pool(TRIAL, image))

    wanted = there_and_back(x)
    with jax.disable_jit():
        np.testing.assert_allclose(there_and_back(x), wanted, rtol=1e-6)
    np.testing.assert_array_equal(jax.vmap(there_and_back)(x), wanted)
    _, scanned = jax.lax.scan(lambda _, image: (None, there_and_back(image)), None, x)
    np.testing.assert_array_equal(scanned, wanted)


def test_each_is_one_named_equation():
    x = jnp.zeros(TRIAL.shape)
    pool, unpool = jax.make_jaxpr(lambda x: _unpool(TRIAL, *_pool(TRIAL, x)))(x).eqns
    path = (
        "window_shape=(3, 2), strides=(2, 1), padding=((1, 1), (0, 1)), boundary='zero'"
    )
    assert pool.params["name"] == f"max_pool_with_switches({path})"
    assert unpool.params["name"] == (
        f"max_unpool({path}, output_shape=(5, 4), overlap='mean')"
    )


def test_both_and_their_gradients_export():
    def there_and_back(x):
        out, pull = jax.vjp(lambda x: _unpool(TRIAL, *_pool(TRIAL, x)), x)
        return out, pull(out)

    platforms = ("cpu", "cuda", "tpu")
    argument = jax.ShapeDtypeStruct(TRIAL.shape, jnp.bfloat16)
    exported = export.export(jax.jit(there_and_back), platforms=platforms)(argument)
    assert exported.platforms == platforms


X = jnp.ones((2, 5, 4, 3))
POOLED, SWITCHES = jnp.ones((2, 4, 3, 3)), jnp.zeros((2, 4, 3, 3), jnp.int32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: max_pool_with_switches(X, 6),
            ValueError,
            r"window_shape \(6, 6\) exceeds the padded map \(5, 4\)",
        ),
        (
            lambda: max_pool_with_switches(X[0, 0], 2),
            ValueError,
            r"need a map \[\*batch, 2 spatial axes, channels\], got shape \(4, 3\)",
        ),
        (
            lambda: max_pool_with_switches(X, ()),
            ValueError,
            r"window_shape \(\) must have 1 to 3 entries",
        ),
        (
            lambda: max_pool_with_switches(X > 0, 2),
            TypeError,
            "the map must hold numbers, got bool",
        ),
        (
            lambda: max_unpool(POOLED, SWITCHES, (5, 5), 2),
            ValueError,
            r"shape \(2, 4, 3, 3\) .*wanted with spatial shape \(4, 4\)",
        ),
        (
            lambda: max_unpool(POOLED, SWITCHES[0], (5, 4), 2),
            ValueError,
            r"switches of shape \(4, 3, 3\) must have the shape of the pooled map",
        ),
        (
            lambda: max_unpool(POOLED, POOLED, (5, 4), 2),
            TypeError,
            "switches must be integers, got float32",
        ),
        (
            lambda: max_unpool(SWITCHES, SWITCHES, (5, 4), 2),
            TypeError,
            "a mean needs a floating-point map, got int32",
        ),
        (
            lambda: max_unpool(POOLED, SWITCHES.tolist(), (5, 4), 2),
            TypeError,
            "switches must be an array, got list",
        ),
        (
            lambda: max_unpool(POOLED, SWITCHES, (5,), 2),
            ValueError,
            r"output_shape \(5,\) has 1 entries for 2 spatial axes",
        ),
        (
            lambda: max_unpool(POOLED, SWITCHES, (5, 4), 2, overlap="last"),
            ValueError,
            "unknown overlap 'last'; choose from mean, sum",
        ),
    ],
)
def test_bad_calls(unchecked, call, error, message):
    with pytest.raises(error, match=message):
        call()
