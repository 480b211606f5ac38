"""What every registered pool gives: the values, the dtype, the name of its equation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from geometries import (
    CASES,
    PADDED,
    SPECS,
    TRIAL,
    has_reference,
    modes,
    signed_map,
    smooth_map,
)

from cnnlab.ops import pools
from cnnlab.ops.registry import parse_spec, takes

MODES = pytest.mark.parametrize("pool", list(modes()))


@pytest.fixture
def apply(pool):
    """The pool as a function of the map alone, along TRIAL."""
    return functools.partial(TRIAL.apply, pool)


@pytest.mark.parametrize("name", pools)
def test_has_a_reference(name):
    assert has_reference(name), f"{name} has no reference with its options"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", pools)
def test_equals_the_reference(name, case):
    _assert_equals_reference(name, CASES[case])


@pytest.mark.parametrize("case", PADDED)
@pytest.mark.parametrize("spec", SPECS)
def test_equals_the_reference_with_options(spec, case):
    _assert_equals_reference(spec, CASES[case])


def _assert_equals_reference(spec, case):
    name, options = parse_spec(spec)
    x = signed_map(case.shape)
    got = case.apply(pools.resolve(spec), jnp.asarray(x))
    wanted = references.pool(name, x, *case.arguments(), case.boundary, **options)
    assert got.shape == wanted.shape
    assert np.array_equal(np.isnan(got), np.isnan(wanted))
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=1e-6)


@MODES
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_keeps_the_dtype(apply, dtype):
    x = jnp.asarray(signed_map(TRIAL.shape), dtype)
    assert jax.eval_shape(apply, x).dtype == dtype


@MODES
def test_keeps_float64_to_its_precision(apply):
    x = smooth_map(TRIAL.shape)
    with jax.enable_x64(True):
        wide = apply(jnp.asarray(x))
        assert wide.dtype == jnp.float64
        # Rounding to float32 anywhere would make these two calls agree.
        assert np.any(apply(jnp.asarray(x * (1 + 1e-12))) != wide)


@MODES
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_float32_rounded_once(apply, dtype):
    x = jnp.asarray(_hard_to_sum(dtype), dtype)
    once = apply(x.astype(jnp.float32)).astype(dtype)
    np.testing.assert_array_equal(_wide(apply(x)), _wide(once))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_sums_in_half_precision_would_be_seen(dtype):
    taps = jnp.asarray(_hard_to_sum(dtype)[0, 1:4, 1:3, 0].ravel(), dtype)
    narrow = functools.reduce(jnp.add, taps) / len(taps)
    assert narrow != jnp.mean(taps.astype(jnp.float32)).astype(dtype)


def _hard_to_sum(dtype):
    """Maps with an entry so large that it swallows its neighbours one by one."""
    x = np.ones(TRIAL.shape)
    x[:, 1, 2] = 2.0 ** (jnp.finfo(dtype).nmant + 1)
    return x


def _wide(x):
    return np.asarray(x, np.float32)


@pytest.mark.parametrize("name", pools)
@pytest.mark.parametrize("case", ["asymmetric", "circular", "three_axes", "defaults"])
def test_is_one_named_equation(name, case):
    case = CASES[case]
    x = jnp.zeros(case.shape)
    (equation,) = jax.make_jaxpr(lambda x: case.apply(pools[name], x))(x).eqns
    rank = 2 if isinstance(case.window_shape, int) else len(case.window_shape)
    window = references.each(case.window_shape, rank)
    strides = references.each(case.strides, rank)
    spatial = case.shape[-rank - 1 : -1]
    pairs = references.padding_pairs(case.padding, spatial, window, strides)
    assert equation.params["name"].startswith(
        f"{name}(window_shape={window}, strides={strides}, "
        f"padding={tuple(pairs)}, boundary={case.boundary!r}"
    )


@MODES
def test_examples_do_not_see_each_other(apply):
    x = jnp.asarray(signed_map(TRIAL.shape))
    spoiled = apply(x.at[0].set(jnp.nan))
    np.testing.assert_array_equal(spoiled[1], apply(x)[1])


@pytest.mark.parametrize("pool", list(modes("channelwise")))
def test_channels_do_not_see_each_other(apply):
    x = jnp.asarray(signed_map(TRIAL.shape))
    spoiled = apply(x.at[..., 0].set(jnp.nan))
    np.testing.assert_array_equal(spoiled[..., 1], apply(x)[..., 1])


@pytest.mark.parametrize("pool", list(modes("local")))
def test_nan_stays_visible_where_a_window_sees_it(pool, apply):
    x = signed_map(TRIAL.shape)
    x[0, 2, 2, 0] = np.nan
    sees = references.apply(
        lambda entries, taps: np.isnan(entries).any(axis=0), x, *TRIAL.arguments()
    )
    if not getattr(pool, "func", pool).traits.channelwise:
        sees = np.broadcast_to(sees.any(axis=-1, keepdims=True), sees.shape)
    assert 0 < sees.sum() < sees.size / 2
    np.testing.assert_array_equal(np.isnan(apply(jnp.asarray(x))), sees)


@pytest.mark.parametrize("pool", list(modes("averaging")))
def test_constants_are_fixed_points(pool):
    x = jnp.full((1, 5, 5, 2), 0.7)
    out = pool(x, 3, 2)
    np.testing.assert_allclose(out, 0.7, rtol=1e-6)


@pytest.mark.parametrize("name", pools)
def test_vmap_is_a_batch_axis(name):
    pool = pools[name]
    x = jnp.asarray(signed_map(TRIAL.shape))
    mapped = jax.vmap(lambda image: TRIAL.apply(pool, image))(x)
    np.testing.assert_array_equal(mapped, TRIAL.apply(pool, x))


@pytest.mark.parametrize("name", [n for n in pools if takes(pools[n], "key")])
def test_vmap_over_keys_draws_as_each_key_does(name):
    x = jnp.asarray(signed_map(TRIAL.shape))
    keys = jax.random.split(jax.random.key(0), 3)
    mapped = jax.vmap(lambda key: TRIAL.apply(pools[name], x, key=key))(keys)
    apart = jnp.stack([TRIAL.apply(pools[name], x, key=key) for key in keys])
    np.testing.assert_array_equal(mapped, apart)
