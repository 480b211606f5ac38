"""What every global pool gives, and the adaptive pools with it."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from geometries import signed_map, smooth_map
from jax import export
from references.global_pooling import GLOBAL_POOLS, adaptive_pool

from cnnlab.ops.conformance.subject import compiled
from cnnlab.ops.global_pooling import (
    adaptive_avg_pool,
    adaptive_max_pool,
    global_avg_pool,
    global_max_pool,
    global_pools,
)

pytestmark = pytest.mark.usefixtures("quickly_compiled")

SHAPE = (2, 5, 4, 3)
GLOBAL = pytest.mark.parametrize("name", global_pools)

# Both adaptive pools, to sizes that do and do not divide the map's, and larger ones.
ADAPTIVE = {
    f"{name} to {size}": functools.partial(pool, output_shape=size)
    for name, pool in {"avg": adaptive_avg_pool, "max": adaptive_max_pool}.items()
    for size in ((3, 3), (5, 2), (7, 4))
}
EVERY_POOL = dict(global_pools) | ADAPTIVE
ALL = pytest.mark.parametrize("pool", EVERY_POOL.values(), ids=EVERY_POOL)


@GLOBAL
def test_has_a_reference(name):
    assert name in GLOBAL_POOLS, f"{name} has no reference"
    ours = inspect.signature(global_pools[name]).parameters
    options = {p for p in ours if ours[p].kind == inspect.Parameter.KEYWORD_ONLY}
    assert options <= set(inspect.signature(GLOBAL_POOLS[name]).parameters)


# (shape of the map, how many spatial axes)
MAPS = [
    ((5, 4, 3), 2),
    ((2, 5, 4, 3), 2),
    ((2, 1, 3, 4, 1, 3), 2),
    ((1, 1, 1, 3), 2),
    ((2, 7, 3), 1),
    ((2, 3, 2, 5, 3), 3),
]


@GLOBAL
def test_equals_the_reference(name):
    @compiled
    def every(maps):
        pairs = zip(maps, MAPS, strict=True)
        return [global_pools[name](x, axes=axes) for x, (_, axes) in pairs]

    maps = [signed_map(shape) for shape, _ in MAPS]
    for x, got, (_, axes) in zip(maps, every(maps), MAPS, strict=True):
        wanted = GLOBAL_POOLS[name](x.astype(np.float64), axes=axes)
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((2, 7, 5, 3), 3),
        ((2, 8, 6, 3), (4, 3)),
        ((2, 8, 6, 3), (1, 6)),
        ((7, 5, 3), (10, 7)),
        ((1, 2, 4, 3, 2), (8, 6)),
        ((2, 11, 3), (4,)),
        ((2, 5, 4, 3, 2), (2, 3, 3)),
        ((1, 1, 1, 3), (2, 1)),
    ],
)
def test_adaptive_pools_equal_the_reference(shape, size):
    x = signed_map(shape)
    each = (size, size) if isinstance(size, int) else size
    pools = adaptive_max_pool, adaptive_avg_pool
    results = compiled(lambda x: [pool(x, size) for pool in pools])(x)
    for reduce, got in zip((np.max, np.mean), results, strict=True):
        wanted = adaptive_pool(reduce, x.astype(np.float64), each)
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_adaptive_to_one_entry_is_global(rank):
    x = jnp.asarray(signed_map((2, *(4, 3, 5)[:rank], 2)))
    ones = (1,) * rank
    largest, mean = adaptive_max_pool(x, ones), adaptive_avg_pool(x, ones)
    np.testing.assert_array_equal(largest.reshape(2, 2), global_max_pool(x, axes=rank))
    np.testing.assert_allclose(
        mean.reshape(2, 2), global_avg_pool(x, axes=rank), rtol=1e-6, atol=1e-7
    )


@ALL
def test_half_precision_is_float32_rounded_once(pool):
    def both(maps):
        return [(pool(x), pool(x.astype(jnp.float32)).astype(x.dtype)) for x in maps]

    maps = []
    for dtype in jnp.bfloat16, jnp.float16:
        x = np.ones(SHAPE)
        # So large that it would swallow its neighbours one by one.
        x[:, 1, 2] = 2.0 ** (jnp.finfo(dtype).nmant + 1)
        maps.append(x.astype(dtype))
    for x, (got, wanted) in zip(maps, compiled(both)(maps), strict=True):
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got, wanted)


@ALL
def test_keeps_float64_to_its_precision(pool):
    x = smooth_map(SHAPE)
    with jax.enable_x64(True):
        run = compiled(pool)
        wide = run(x)
        assert wide.dtype == jnp.float64
        assert np.all(np.asarray(run(x * (1 + 1e-12))) != wide)


def test_integer_maps_have_maxima():
    x = jnp.asarray(np.arange(-60, 60).reshape(SHAPE), jnp.int8)
    assert global_max_pool(x).dtype == adaptive_max_pool(x, 3).dtype == jnp.int8
    np.testing.assert_array_equal(global_max_pool(x)[1], [57, 58, 59])


@ALL
def test_examples_and_channels_do_not_see_each_other(pool):
    run, x = compiled(pool), signed_map(SHAPE)
    out = np.asarray(run(x))
    x[0, ..., 1] = np.nan
    spoiled = np.asarray(run(x))
    np.testing.assert_array_equal(spoiled[1], out[1])
    apart = np.arange(out.shape[-1]) % 3 != 1
    np.testing.assert_array_equal(spoiled[0, ..., apart], out[0, ..., apart])
    assert np.all(np.isnan(spoiled[0, ..., ~apart]))


@ALL
def test_one_nan_is_seen_where_it_reaches(pool):
    run, x = compiled(pool), signed_map(SHAPE)
    one = np.zeros(SHAPE, np.float32)
    one[0, 2, 1, 0], x[0, 2, 1, 0] = 1, np.nan
    reaches = np.asarray(run(one)) > 0
    np.testing.assert_array_equal(np.isnan(run(x)), reaches)
    assert np.any(reaches) and not np.all(reaches)


@pytest.mark.parametrize("value", [-np.inf, 2.0])
@pytest.mark.parametrize("pool", [global_max_pool, *list(ADAPTIVE.values())[3:]])
def test_the_first_of_equal_entries_takes_the_gradient(pool, value):
    @compiled
    def value_and_gradient(x):
        out, pull = jax.vjp(pool, x)
        return out, pull(jnp.ones_like(out))[0]

    out, gradient = value_and_gradient(np.full((5, 4, 1), value, np.float32))
    np.testing.assert_array_equal(out, np.full(out.shape, value))
    # Of equal numbers, each region's first is its corner.
    ramp = -np.arange(20, dtype=np.float32).reshape(5, 4, 1)
    _, corners = value_and_gradient(ramp)
    np.testing.assert_array_equal(gradient, corners)
    assert corners.sum() == out.size


def test_the_first_is_the_first_in_row_major_order():
    x = jnp.asarray([[0.0, 1, 2], [2, 1, 0], [2, 2, 2]])[..., None]
    wanted = np.zeros((3, 3))
    wanted[0, 2] = 1
    for pool in global_max_pool, functools.partial(adaptive_max_pool, output_shape=1):
        gradient = jax.grad(lambda x, pool=pool: pool(x).sum())(x)
        np.testing.assert_array_equal(gradient[..., 0], wanted)


@pytest.mark.parametrize("pool", ADAPTIVE.values(), ids=ADAPTIVE)
def test_constants_are_fixed_points(pool):
    np.testing.assert_allclose(pool(jnp.full(SHAPE, 0.7)), 0.7, rtol=1e-6)


@ALL
def test_derivatives_equal_finite_differences(pool):
    def slope_and_gradient(x, tangent):
        def loss(x):
            out = pool(x)
            return jnp.vdot(jnp.cos(jnp.arange(out.size)), jnp.sin(out).ravel())

        return jax.jvp(jax.value_and_grad(loss), (x,), (tangent,))

    @compiled
    def exact_and_measured(x, tangent, step=1e-5):
        points = jnp.stack([x, x + step * tangent, x - step * tangent])
        values, derivatives = jax.vmap(slope_and_gradient, (0, None))(points, tangent)
        exact = jax.tree.map(lambda d: d[0], derivatives)
        return exact, jax.tree.map(lambda v: (v[1] - v[2]) / (2 * step), values)

    with jax.enable_x64(True):
        x, tangent = (jnp.asarray(smooth_map(SHAPE, seed)) for seed in (0, 1))
        exact, measured = exact_and_measured(x, tangent)
        for got, wanted in zip(exact, measured, strict=True):
            assert np.any(got != 0)
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


@ALL
def test_jit_vmap_scan_and_remat_give_the_same(pool):
    x = jnp.asarray(signed_map(SHAPE))

    def loss(x):
        return jnp.sin(pool(x)).sum()

    def scanned(x):
        body = jax.checkpoint(loss)
        return jax.lax.scan(lambda total, one: (total + body(one), None), 0.0, x)[0]

    @compiled
    def every(x):
        gradients = jax.grad(loss)(x), jax.grad(scanned)(x)
        return pool(x), jax.vmap(pool)(x), *gradients

    out, mapped, wanted, gradient = every(x)
    np.testing.assert_array_equal(mapped, out)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-7)
    with jax.disable_jit():
        np.testing.assert_allclose(pool(x), out, rtol=1e-6, atol=1e-7)


@GLOBAL
def test_a_global_pool_is_one_named_equation(name):
    (equation,) = jax.make_jaxpr(global_pools[name])(jnp.zeros(SHAPE)).eqns
    assert equation.params["name"] == f"{name}(window_shape=(5, 4))"


@pytest.mark.parametrize("pool", [adaptive_avg_pool, adaptive_max_pool])
def test_an_adaptive_pool_is_one_named_equation(pool):
    (equation,) = jax.make_jaxpr(lambda x: pool(x, 3))(jnp.zeros(SHAPE)).eqns
    assert equation.params["name"] == f"{pool.__name__}(output_shape=(3, 3))"


@ALL
def test_value_and_gradient_export(pool):
    def value_and_gradient(x):
        out, pull = jax.vjp(pool, x)
        return out, pull(out)

    platforms = ("cpu", "cuda", "tpu")
    argument = jax.ShapeDtypeStruct(SHAPE, jnp.bfloat16)
    exported = export.export(jax.jit(value_and_gradient), platforms=platforms)(argument)
    assert exported.platforms == platforms


def test_a_circular_shift_leaves_the_global_maximum():
    x = jnp.asarray(signed_map(SHAPE))
    moved = jnp.roll(x, (2, 1), (1, 2))
    np.testing.assert_array_equal(global_max_pool(moved), global_max_pool(x))


X = jnp.ones(SHAPE)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: global_avg_pool(X, axes=0),
            ValueError,
            r"axes \(0,\) must be at least 1 everywhere",
        ),
        (
            lambda: global_max_pool(X, axes=4),
            ValueError,
            "axes 4 must be 1 to 3",
        ),
        (
            lambda: global_max_pool(X, axes=1.0),
            TypeError,
            "axes takes integers, got 1.0",
        ),
        (
            lambda: global_max_pool(X[0, 0]),
            ValueError,
            r"need a map \[\*batch, 2 spatial axes, channels\], got shape \(4, 3\)",
        ),
        (
            lambda: global_avg_pool(X.astype(jnp.int32)),
            TypeError,
            "a mean needs a floating-point map, got int32",
        ),
        (
            lambda: global_max_pool(X > 0),
            TypeError,
            "the map must hold numbers, got bool",
        ),
        (
            lambda: global_max_pool(X[:, :0]),
            ValueError,
            r"a map of spatial shape \(0, 4\) has nothing to pool",
        ),
        (
            lambda: adaptive_avg_pool(X, 0),
            ValueError,
            r"output_shape \(0, 0\) must be at least 1 everywhere",
        ),
        (
            lambda: adaptive_max_pool(X, (2.0, 2)),
            TypeError,
            "output_shape takes integers, got 2.0",
        ),
        (
            lambda: adaptive_max_pool(X, 2.5),
            TypeError,
            "output_shape takes integers, got 2.5",
        ),
        (
            lambda: adaptive_max_pool(X, ()),
            ValueError,
            r"output_shape \(\) must have 1 to 3 entries",
        ),
        (
            lambda: adaptive_max_pool(X[0], (2, 2, 2)),
            ValueError,
            r"need a map \[\*batch, 3 spatial axes, channels\], got shape \(5, 4, 3\)",
        ),
        (
            lambda: adaptive_avg_pool(X.astype(jnp.int32), 2),
            TypeError,
            "a mean needs a floating-point map, got int32",
        ),
    ],
)
def test_bad_calls(unchecked, call, error, message):
    with pytest.raises(error, match=message):
        call()
