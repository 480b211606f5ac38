"""`Pool`: every way to write an operator, and when it draws."""

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab import ops
from cnnlab.layers import Pool
from cnnlab.ops import pools


@pytest.fixture
def x():
    return jnp.asarray(np.random.default_rng(0).random((2, 6, 6, 3)), jnp.float32)


def apply(layer, x, **keywords):
    return layer.apply({}, x, **keywords)


@pytest.mark.parametrize("name", pools)
def test_a_name_is_the_operator_and_its_learned_weights(name, x):
    layer = Pool(name, (3, 2), (2, 1), "SAME")
    got, variables = layer.init_with_output(jax.random.key(0), x)
    np.testing.assert_array_equal(got, pools[name](x, (3, 2), (2, 1), "SAME"))
    weights = variables.get("params", {})
    assert sorted(weights) == sorted(pools[name].weights)
    moved = jax.tree.map(lambda weight: weight + 0.5, weights)
    # To rounding: the layer's parameters are arguments, the other's are constants.
    np.testing.assert_allclose(
        layer.apply({"params": moved}, x),
        pools[name](x, (3, 2), (2, 1), "SAME", **moved),
        rtol=1e-6,
    )


def test_a_weight_that_is_given_is_no_parameter(x):
    layer = Pool("mixed_pool(alpha=1.0)")
    assert not layer.init(jax.random.key(0), x)
    np.testing.assert_array_equal(apply(layer, x), ops.max_pool(x, 2, 2))
    assert not Pool("mixed_pool", alpha=1.0).init(jax.random.key(0), x)
    assert Pool("mixed_pool", alpha=None).init(jax.random.key(0), x)


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(Pool("lp_pool(p=3.0)"), id="spec"),
        pytest.param(Pool("lp_pool", p=3.0), id="keyword"),
        pytest.param(Pool("lp_pool", options={"p": 3.0}), id="options"),
        pytest.param(Pool("lp_pool(p=1.0)", p=3.0), id="keyword over spec"),
        pytest.param(Pool(ops.lp_pool, p=3.0), id="function"),
    ],
)
def test_options_may_be_written_anywhere(layer, x):
    np.testing.assert_array_equal(apply(layer, x), ops.lp_pool(x, 2, 2, p=3.0))


def test_a_function_need_not_be_registered(x):
    def corner_pool(x, window_shape, strides, padding, *, gain=1.0):
        return gain * x[..., ::strides, ::strides, :]

    np.testing.assert_array_equal(apply(Pool(corner_pool), x), x[:, ::2, ::2])
    np.testing.assert_array_equal(
        apply(Pool(corner_pool, 3, gain=2.0), x, train=True), 2 * x[:, ::3, ::3]
    )


@pytest.mark.parametrize("window_shape", [2, 3, (2, 3)])
def test_the_window_moves_by_its_own_size_unless_told(window_shape, x):
    wanted = ops.avg_pool(x, window_shape, window_shape)
    np.testing.assert_array_equal(apply(Pool("avg_pool", window_shape), x), wanted)
    wanted = ops.avg_pool(x, window_shape, 1)
    np.testing.assert_array_equal(apply(Pool("avg_pool", window_shape, 1), x), wanted)


@pytest.mark.parametrize("boundary", ["circular", "reflect", "edge"])
def test_the_boundary_is_passed_on(boundary, x):
    got = apply(Pool("avg_pool", 3, 1, "SAME", boundary=boundary), x)
    wanted = ops.avg_pool(x, 3, 1, "SAME", boundary=boundary)
    np.testing.assert_array_equal(got, wanted)
    assert not np.allclose(got, apply(Pool("avg_pool", 3, 1, "SAME"), x))


def test_it_is_a_value():
    layer = Pool("lp_pool", 3, 2, p=3.0)
    same = Pool("lp_pool", 3, 2, options={"p": 3.0})
    assert layer == same
    assert hash(layer) == hash(same)
    assert layer.clone() == layer
    assert layer.clone(strides=1) == Pool("lp_pool", 3, 1, p=3.0)
    assert layer != Pool("lp_pool", 3, 2, p=4.0)
    assert "'lp_pool'" in repr(layer)
    assert "p: 3.0" in repr(layer)


def test_an_unknown_name_is_refused_with_the_choices(x):
    with pytest.raises(ValueError, match="unknown pool 'no_pool'.*avg_pool.*max_pool"):
        apply(Pool("no_pool"), x)


def test_an_unknown_option_is_refused(x):
    with pytest.raises(TypeError, match="q"):
        apply(Pool("lp_pool", q=3.0), x)


def test_drawing_needs_an_rng(x):
    with pytest.raises(flax.errors.InvalidRngError, match='"pool"'):
        apply(Pool("stochastic_pool"), x, train=True)


def test_a_pool_that_does_not_draw_needs_no_rng(x):
    got = apply(Pool("max_pool"), x, train=True)
    np.testing.assert_array_equal(got, apply(Pool("max_pool"), x))


def test_a_draw_is_an_entry_of_its_window_and_a_function_of_its_rng(x):
    def draw(seed):
        rngs = {"pool": jax.random.key(seed)}
        return np.asarray(apply(Pool("stochastic_pool"), x, train=True, rngs=rngs))

    windows = np.asarray(x).reshape(2, 3, 2, 3, 2, 3).swapaxes(2, 3)
    is_entry = draw(0)[:, :, :, None, None] == windows
    assert is_entry.any(axis=(3, 4)).all()
    np.testing.assert_array_equal(draw(0), draw(0))
    assert (draw(0) != draw(1)).any()


def test_the_mean_of_the_draws_tends_to_the_output_in_evaluation(x):
    layer, count = Pool("stochastic_pool"), 2000
    keys = jax.random.split(jax.random.key(0), count)
    draws = jax.vmap(lambda key: apply(layer, x, train=True, rngs={"pool": key}))(keys)
    error = np.abs(draws.mean(axis=0) - apply(layer, x))
    # Five standard errors: among these 54 means, a false alarm in 30,000 runs.
    assert (error < 5 * draws.std(axis=0) / np.sqrt(count)).all()


def test_two_layers_of_a_model_draw_apart(x):
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, x):
            pool = [Pool("stochastic_pool")(x, train=True) for _ in range(2)]
            return jnp.stack(pool)

    first, second = Twice().apply({}, x, rngs={"pool": jax.random.key(0)})
    assert (first != second).any()


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_map_and_no_mapping_is_refused():
    for pool in "max_pool", "mixed_pool":
        with pytest.raises(TypeError, match="a map must be an array, got list"):
            Pool(pool).init(jax.random.key(0), [[1.0]])
    with pytest.raises(TypeError, match="options must be a mapping, got 3"):
        Pool("max_pool", options=3)
