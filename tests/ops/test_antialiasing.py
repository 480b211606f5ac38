"""What a blur promises: its gains, its sizes, its shifts."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
from geometries import CASES, TRIAL, signed_map
from references.antialiasing import blurred

from cnnlab.ops import avg_pool, conv, max_pool
from cnnlab.ops.antialiasing import (
    avg_blur_pool,
    binomial,
    blur_pool,
    conv_blur,
    max_blur_pool,
)

RECIPES = [(max_blur_pool, max_pool), (avg_blur_pool, avg_pool)]
X = jnp.ones((2, 5, 4, 3))
KERNEL = jnp.ones((3, 3, 3, 6))


@pytest.mark.parametrize("size", range(1, 8))
def test_filter_is_coins_tossed(size):
    row = functools.reduce(np.convolve, [[0.5, 0.5]] * (size - 1), [1.0])
    np.testing.assert_array_equal(binomial((size,)), row)
    np.testing.assert_array_equal(binomial((size, 3)), np.outer(row, [0.25, 0.5, 0.25]))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (5, 5), (2, 3, 4)])
def test_blurred_impulse_is_the_filter(shape):
    impulse = np.zeros((*(2 * n - 1 for n in shape), 1), np.float32)
    impulse[tuple(n - 1 for n in shape)] = 1
    np.testing.assert_array_equal(
        blur_pool(jnp.asarray(impulse), shape)[..., 0], binomial(shape)
    )


@pytest.mark.parametrize("size", range(2, 7))
@pytest.mark.parametrize("axis", [0, 1])
def test_gain_is_one_at_frequency_zero_and_zero_at_the_nyquist_frequency(size, axis):
    along = (-1.0) ** np.arange(8).reshape((-1, 1) if axis == 0 else (1, -1))
    alternating = jnp.asarray(np.broadcast_to(along, (8, 8))[..., None])
    pool = functools.partial(
        blur_pool, window_shape=size, padding="SAME", boundary="circular"
    )
    np.testing.assert_array_equal(pool(alternating), 0)
    np.testing.assert_array_equal(pool(jnp.ones_like(alternating)), 1)


def test_blur_is_linear():
    x, y = (jnp.asarray(signed_map((1, 7, 6, 2), seed)) for seed in (0, 1))
    whole = blur_pool(2 * x - 3 * y, 3, 2, 1)
    parts = 2 * blur_pool(x, 3, 2, 1) - 3 * blur_pool(y, 3, 2, 1)
    np.testing.assert_allclose(whole, parts, atol=1e-5)


def _conv_blur(x, window_shape, strides, padding, **options):
    shape = (window_shape,) * 2 + (x.shape[-1], 2)
    kernel = jnp.asarray(signed_map(shape, seed=3))
    options = {"activation": jax.nn.relu, **options}
    return conv_blur(x, kernel, strides, padding, **options)


@pytest.mark.parametrize(
    "pool",
    [blur_pool, max_blur_pool, avg_blur_pool, _conv_blur],
    ids=lambda p: p.__name__,
)
@pytest.mark.parametrize("window_shape", [2, 3])
def test_shift_by_the_strides_shifts_the_result_by_one(pool, window_shape):
    x = jnp.asarray(signed_map((1, 6, 9, 2)))
    pool = jax.jit(
        functools.partial(
            pool,
            window_shape=window_shape,
            strides=3,
            padding="SAME",
            boundary="circular",
        )
    )
    out = pool(x)
    assert out.shape[1:3] == (2, 3)
    shifted = pool(jnp.roll(x, (3, -6), (1, 2)))
    np.testing.assert_allclose(shifted, jnp.roll(out, (1, -2), (1, 2)), atol=1e-6)
    assert not np.allclose(pool(jnp.roll(x, 1, 2)), out, atol=1e-3)


def test_a_torus_stays_one_without_the_padding_that_would_keep_its_size():
    x = jnp.asarray(signed_map((1, 6, 8, 2)))
    pool = functools.partial(max_blur_pool, window_shape=2, strides=2)
    out = pool(x, boundary="circular")
    shifted = pool(jnp.roll(x, 2, 2), boundary="circular")
    np.testing.assert_allclose(shifted, jnp.roll(out, 1, 2), atol=1e-6)
    assert not np.allclose(pool(jnp.roll(x, 2, 2)), jnp.roll(pool(x), 1, 2))


def test_blur_turns_less_than_a_maximum_where_the_map_shifts_by_one():
    x = jnp.asarray(signed_map((1, 16, 16, 2)))

    def change(pool):
        pool = functools.partial(pool, boundary="circular")
        out, shifted = pool(x, 2, 2), pool(jnp.roll(x, 1, 2), 2, 2)
        return jnp.linalg.norm(out - shifted) / jnp.linalg.norm(out - out.mean())

    assert change(max_blur_pool) < change(max_pool)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r[0].__name__)
@pytest.mark.parametrize("case", ["gaps", "one_pixel", "one_axis", "circular"])
def test_filter_of_one_entry_is_the_pool_itself(recipe, case):
    ours, plain = recipe
    x = jnp.asarray(signed_map(CASES[case].shape))
    got = CASES[case].apply(ours, x, filter_size=1)
    np.testing.assert_allclose(got, CASES[case].apply(plain, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("filter_size", [2, 5])
@pytest.mark.parametrize("pool", [max_blur_pool, avg_blur_pool])
def test_size_is_that_of_max_pool(pool, filter_size):
    small = [(n, m) for n in (1, 2, 3) for m in (1, 2, 5)]
    calls = [(CASES[case].shape, CASES[case].arguments()) for case in CASES]
    calls += [((*size, 1), (2, 2, "SAME")) for size in small]
    for shape, arguments in calls:
        x = jax.ShapeDtypeStruct(shape, jnp.float32)
        for boundary in "zero", "circular":

            def sized(pool, arguments=arguments, boundary=boundary, x=x, **options):
                options["boundary"] = boundary
                return jax.eval_shape(lambda x: pool(x, *arguments, **options), x).shape

            assert sized(pool, filter_size=filter_size) == sized(max_pool)


def test_first_of_equal_entries_takes_the_whole_gradient_in_row_major_order():
    # One axis after the other must not change which of the equal entries is first.
    x = jnp.asarray(np.random.default_rng(0).integers(0, 2, (1, 6, 7, 2)), jnp.float32)

    def together(x):
        maxima = max_pool(x, 3, 1, 1)
        return blur_pool(maxima, 3, 2, 1, count_include_pad=False)

    def gradient(pool):
        weights = jnp.cos(jnp.arange(1.0 * 3 * 4 * 2)).reshape(1, 3, 4, 2)
        return jax.jit(jax.grad(lambda x: jnp.vdot(weights, pool(x))))(x)

    ours = gradient(lambda x: max_blur_pool(x, 3, 2, 1))
    np.testing.assert_allclose(ours, gradient(together), atol=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("boundary", ["zero", "circular", "reflect", "edge"])
def test_conv_blur_equals_the_reference(rank, boundary):
    shape, strides = (5, 4, 6)[:rank], (2, 1, 3)[:rank]
    pairs = [(1, 0), (0, 1), (1, 1)][:rank]
    x = signed_map((2, *shape, 4))
    kernel = signed_map((*(2, 3, 2)[:rank], 2, 6), seed=1)
    dense = functools.partial(references.conv, kernel=kernel, groups=2)
    wanted = blurred(
        lambda x, pairs: np.maximum(dense(x, padding=pairs), 0),
        x.astype(np.float64),
        strides,
        pairs,
        boundary,
        3,
    )
    got = conv_blur(
        jnp.asarray(x),
        jnp.asarray(kernel),
        strides,
        pairs,
        groups=2,
        boundary=boundary,
        activation=jax.nn.relu,
    )
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("strides", "padding"), [(1, "VALID"), (2, "SAME"), ((3, 2), "FULL"), (2, 1)]
)
def test_conv_blur_with_a_filter_of_one_entry_is_conv(strides, padding):
    x = jnp.asarray(signed_map((2, 7, 8, 3)))
    kernel = jnp.asarray(signed_map((3, 2, 3, 4), seed=1))
    wanted = conv(x, kernel, strides, padding, dilation=2)
    got = conv_blur(x, kernel, strides, padding, dilation=2, filter_size=1)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    sized = conv_blur(x, kernel, strides, padding, dilation=2, filter_size=4)
    assert sized.shape == wanted.shape


def test_conv_blur_is_one_named_equation_and_keeps_the_dtype():
    x, kernel = X.astype(jnp.bfloat16), KERNEL.astype(jnp.bfloat16)
    jaxpr = jax.make_jaxpr(lambda x, k: conv_blur(x, k, 2, filter_size=5))(x, kernel)
    (equation,) = jaxpr.eqns
    assert equation.params["name"] == (
        "conv_blur(window_shape=(3, 3), strides=(2, 2), padding=((1, 1), (0, 1)), "
        "boundary='zero', groups=1, filter_size=(5, 5))"
    )
    assert jaxpr.out_avals[0].dtype == jnp.bfloat16


REFUSED = [
    (
        lambda: max_blur_pool(X, 2, filter_size=0),
        ValueError,
        "filter_size (0, 0) must be at least 1 everywhere",
    ),
    (
        lambda: avg_blur_pool(X, 2, filter_size=(3, 3, 3)),
        ValueError,
        "filter_size (3, 3, 3) has 3 entries for 2 spatial axes",
    ),
    (
        lambda: max_blur_pool(X, 2, filter_size=1.5),
        TypeError,
        "filter_size takes integers, got 1.5",
    ),
    (
        lambda: conv_blur(X, KERNEL, filter_size=-1),
        ValueError,
        "filter_size (-1, -1) must be at least 1 everywhere",
    ),
    (
        lambda: conv_blur(X[..., :2], KERNEL),
        ValueError,
        "kernel of shape (3, 3, 3, 6) in 1 groups does not fit a map of 2 channels",
    ),
    (
        lambda: conv_blur(X, KERNEL, 0),
        ValueError,
        "strides (0, 0) must be at least 1 everywhere",
    ),
    (
        lambda: blur_pool(X.astype(jnp.int32), 2),
        TypeError,
        "a mean needs a floating-point map, got int32",
    ),
    (
        lambda: max_blur_pool(X.astype(jnp.int32), 2),
        TypeError,
        "a mean needs a floating-point map, got int32",
    ),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_call_is_refused_in_one_line(call, error, message):
    with pytest.raises(error, match=re.escape(message)) as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("pool", [blur_pool, max_blur_pool, avg_blur_pool])
def test_large_entries_do_not_overflow(pool):
    x = jnp.full(TRIAL.shape, jnp.finfo(jnp.float32).max / 8)
    assert np.all(np.isfinite(TRIAL.apply(pool, x)))
