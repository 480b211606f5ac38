"""A swapped function is the one that one would have written by hand."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnlab.diagnostics import surgery
from cnnlab.ops import avg_pool, blur_pool, conv, lp_pool, max_pool, pools

X = jax.random.normal(jax.random.key(0), (2, 9, 8, 3))
KERNEL = jax.random.normal(jax.random.key(1), (3, 3, 3, 4))
BIAS = jnp.linspace(-1, 1, 4)
swap = surgery.swap_downsampling


def _lax_convolution(kernel, x):
    kernel = kernel.transpose(3, 2, 0, 1)
    padding = ((1, 1), (1, 0))
    x = lax.conv_general_dilated(x.transpose(0, 3, 1, 2), kernel, (1, 2), padding)
    return jax.nn.silu(x)


def _max_inside_of_remat(kernel, x):
    inside = jax.checkpoint(
        lambda x: nn.max_pool(jnp.tanh(x), (2, 3), (2, 1), "SAME") * kernel[0, 0, 0, 0]
    )
    return inside(x)


def _padded_sum(kernel, x):
    padding = ((0, 0), (1, 1), (0, 1), (0, 0))
    x = x * kernel[0, 0, :, 0]
    return lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 1, 1), padding) / 4


_MEAN = functools.partial(nn.avg_pool, window_shape=(3, 3), strides=(1, 2))
_ONE_SITE = {
    "conv": lambda k, x: jax.nn.relu(conv(x, k, 2, boundary="circular") + BIAS),
    "convolution": _lax_convolution,
    "mean": lambda k, x: _MEAN(x * k[0, 0, :, 0], padding="SAME"),
    "mean of real entries": lambda k, x: _MEAN(
        x * k[0, 0, :, 0], padding="SAME", count_include_pad=False
    ),
    "sum": _padded_sum,
    "max": _max_inside_of_remat,
    "slice": lambda k, x: jax.nn.relu(x * k[0, 0, :, 0])[:, 1::2],
    "pool": lambda k, x: lp_pool(x * k[0, 0, :, 0], 2, 2, ((0, 1), (0, 0)), p=3.0),
}


def _value_and_gradients(function):
    return jax.jit(
        jax.value_and_grad(lambda *args: (function(*args) ** 2).sum(), (0, 1))
    )


def _assert_same(got, wanted, tolerance):
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        scale = float(jnp.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("function", _ONE_SITE.values(), ids=_ONE_SITE)
def test_a_site_swapped_by_what_it_is_changes_nothing(function):
    (site,) = surgery.sites(function, KERNEL, X)
    wanted = _value_and_gradients(function)(KERNEL, X)
    # Nothing swapped: bit for bit.
    _assert_same(_value_and_gradients(swap(function, {}))(KERNEL, X), wanted, 0)
    itself = _value_and_gradients(swap(function, {0: site.itself}))
    _assert_same(itself(KERNEL, X), wanted, 2e-6)


def _network(kernel, x):
    y = conv(x, kernel, 2, boundary="circular")
    return jax.nn.relu((y - y.dtype.type(0.1)) * BIAS + 0.2)


def test_a_convolution_is_dense_then_thinned():
    blur = functools.partial(blur_pool, boundary="circular")

    def dense(x):
        # The strided convolution's own padding: 1 before, along 9 rows; 0 along 8.
        return conv(x, KERNEL, 1, ((1, 1), (0, 2)), boundary="circular")

    def after(y):
        return jax.nn.relu((y - 0.1) * BIAS + 0.2)

    padding = ((1, 1), (1, 0))
    late = blur(after(dense(X)), 3, 2, padding)
    early = after(blur(dense(X), 3, 2, padding))
    spec = "blur_pool(window_shape=3)"
    got = jax.jit(swap(_network, spec))(KERNEL, X)
    np.testing.assert_allclose(got, late, atol=1e-5)
    at_once = jax.jit(swap(_network, spec, after="convolution"))(KERNEL, X)
    np.testing.assert_allclose(at_once, early, atol=1e-5)
    assert not np.allclose(late, early, atol=1e-2)


def test_entries_may_be_moved_before_the_operator_is_due():
    def function(x):
        y = lax.conv_general_dilated(
            x[None], KERNEL, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NCHW")
        )
        y = y.squeeze(0) + jnp.broadcast_to(BIAS[:, None, None], (4, 5, 4))
        return jax.nn.gelu(y.transpose(1, 2, 0))

    dense = conv(X, KERNEL, 1, ((1, 1), (0, 1)))
    wanted = lp_pool(jax.nn.gelu(dense + BIAS), 2, 2, ((0, 1), (0, 1)), p=3.0)
    got = jax.jit(jax.vmap(swap(function, "lp_pool(p=3.0)")))(X)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_what_more_than_entries_need_is_thinned_before():
    def function(x):
        y = conv(x, KERNEL, 2)
        return jnp.abs(y - y.mean())

    y = max_pool(conv(X, KERNEL, 1, ((1, 1), (0, 1))), 2, 2, ((0, 1), (0, 1)))
    got = swap(function, "max_pool")(X)
    np.testing.assert_allclose(got, jnp.abs(y - y.mean()), atol=1e-6)


@pytest.mark.parametrize("spec", ["max_blur_pool", "lp_pool(p=3.0)", "lip_pool"])
def test_a_pool_is_replaced_in_its_own_geometry(spec):
    def channels_first(x):
        shape, strides = (1, 1, 3, 2), (1, 1, 2, 2)
        padding = ((0, 0), (0, 0), (1, 1), (0, 0))
        return lax.reduce_window(x, -jnp.inf, lax.max, shape, strides, padding)

    wanted = pools.resolve(spec)(X, (3, 2), (2, 2), ((1, 1), (0, 0)))
    got = swap(channels_first, spec)(X.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(got.transpose(0, 2, 3, 1), wanted, atol=1e-6)


def test_a_larger_window_is_centred_on_the_old_one():
    got = swap(lambda x: max_pool(x, 2, 2), "blur_pool(window_shape=4)")(X)
    np.testing.assert_allclose(got, blur_pool(X, 4, 2, ((1, 0), (1, 1))), atol=1e-6)


def test_every_pool_fits_every_kind_of_site():
    x = jax.ShapeDtypeStruct((2, 16, 16, 3), jnp.float32)

    def function(x):
        return nn.avg_pool(conv(x[:, ::2, ::2], KERNEL, 2), (2, 2), (2, 2))

    for name in sorted(pools):
        if name == "fractional_max_pool":  # goes by the size of its result
            continue
        got = jax.eval_shape(swap(function, name), x)
        assert got.shape == (2, 2, 2, 4)


def test_a_choice_is_a_mapping_or_a_function_of_the_site():
    def function(x):
        return max_pool(max_pool(x, 2, 2), 2, 2)

    wanted = max_pool(avg_pool(X, 2, 2), 2, 2)
    chosen = {0: avg_pool, 1: None}
    for choice in (chosen, lambda site: chosen[site.index]):
        np.testing.assert_array_equal(swap(function, choice)(X), wanted)
    by_hand = lambda x, window_shape, strides, padding: x[:, ::2, ::2]  # noqa: E731
    got = swap(function, {1: by_hand})(X[:, :8])
    np.testing.assert_array_equal(got, max_pool(X[:, :8], 2, 2)[:, ::2, ::2])


def _loops(x):
    def step(total, row):
        return total + max_pool(row, 2, 2), max_pool(row, 2, 2)[0]

    total, rows = lax.scan(step, jnp.zeros((4, 4, 3)), x[:, :8], reverse=True)
    grown = lax.while_loop(
        lambda y: max_pool(y, 2, 2).sum() < 100,
        lambda y: y + 1 + jnp.repeat(max_pool(y, 2, 1, "SAME")[:, :1], 4, 1),
        total,
    )
    return rows, lax.cond(
        x.sum() > 0, lambda y: max_pool(y, 2, 2), lambda y: y[:2, :2] + 1, grown
    )


def test_sites_inside_of_loops_are_rewritten_there():
    sites = surgery.sites(_loops, X)
    assert [site.in_loop for site in sites] == 4 * [True]
    for x in (X, -X):
        with_means = jax.jit(swap(_loops, "avg_pool"))(x)
        by_hand = _by_hand(x)
        for got, wanted in zip(with_means, by_hand, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def _by_hand(x):
    pooled = [avg_pool(row, 2, 2) for row in x[:, :8]]
    rows = jnp.stack([row[0] for row in pooled])
    y = pooled[0] + pooled[1]
    while avg_pool(y, 2, 2).sum() < 100:
        y = y + 1 + jnp.repeat(max_pool(y, 2, 1, "SAME")[:, :1], 4, 1)
    return rows, avg_pool(y, 2, 2) if x.sum() > 0 else y[:2, :2] + 1


def test_custom_derivatives_without_a_site_stay():
    @jax.custom_vjp
    def straight_through(x):
        return jnp.round(x)

    straight_through.defvjp(lambda x: (jnp.round(x), None), lambda _, g: (g,))

    def function(x):
        return straight_through(max_pool(x, 2, 2)).sum()

    gradient = jax.jit(jax.grad(swap(function, "avg_pool")))(X[:, :8])
    np.testing.assert_allclose(gradient, jnp.full((2, 8, 8, 3), 0.25))
    # relu at 0, whose own rule says 0, and a maximum's would say a half.
    at_zero = swap(
        lambda x: jax.nn.relu(conv(x, 0 * KERNEL, 2) + x[:, ::2, ::2, :1]), {}
    )
    assert not jax.jit(jax.grad(lambda x: at_zero(x).sum()))(0 * X).any()
    waiting = swap(lambda k: jax.nn.relu(conv(X, k, 2)).sum(), "avg_pool")
    assert not jax.jit(jax.grad(waiting))(0 * KERNEL).any()


def test_arguments_keep_their_trees_and_what_is_no_array_is_constant():
    def function(batch, *, train, activation):
        y = max_pool(batch["x"], 2, 2)
        return {"y": activation(y) if train else y, "mean": y.mean()}

    swapped = swap(function, "avg_pool")
    got = swapped({"x": X}, train=True, activation=jnp.abs)
    assert set(got) == {"y", "mean"}
    np.testing.assert_allclose(got["y"], jnp.abs(avg_pool(X, 2, 2)), atol=1e-6)


@pytest.mark.parametrize(
    "choice, message",
    [
        ("mox_pool", "unknown pool 'mox_pool'; choose from .*max_pool"),
        ("lp_pool(q=1)", "has no option 'q'"),
        ({7: "max_pool"}, "unknown site 7; the function has sites 0 to 1"),
        ({0: 5}, "a pool is a spec or a function, got 5"),
        (5, "a pool is a spec or a function, got 5"),
        (lambda x, weights: x, "cannot be called as operator"),
        (lambda x, window_shape, strides, padding, *, key: x, "bind what else"),
        (lambda x, w, s, p: x, r"site 0 \(max_pool\): <lambda> gives \(2, 9, 8, 3\)"),
        (lambda x, w, s, p: max_pool(x, w, s) > 0, "of bool, and"),
        ("fractional_max_pool", r"site 0 \(max_pool\): fractional_max_pool"),
    ],
)
def test_a_bad_choice_is_one_line(choice, message, unchecked):
    def function(x):
        return max_pool(max_pool(x, 2, 2), 2, 2)

    with pytest.raises((ValueError, TypeError), match=message) as told:
        swap(function, choice)(X)
    assert "\n" not in str(told.value)


def test_bad_functions_are_one_line():
    with pytest.raises(ValueError, match="_plain has no sites"):
        swap(_plain, "max_pool")(X)
    with pytest.raises(TypeError, match="_numpy cannot be traced by JAX") as told:
        surgery.sites(_numpy, X)
    assert "\n" not in str(told.value)
    with pytest.raises(ValueError, match="unknown after 'x'; choose from activation"):
        swap(_plain, "max_pool", after="x")


def _plain(x):
    return x + 1


def _numpy(x):
    return np.asarray(x).sum()
