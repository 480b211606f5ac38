"""`BatchNorm` is Flax's, statistics, names and gradients included."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.layers import BatchNorm


def maps(shape, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    return jnp.asarray(3 + rng.normal(size=shape) * rng.uniform(1, 4, shape[-1]), dtype)


def flax_layer(layer):
    return nn.BatchNorm(layer.use_running_average, momentum=0.9, dtype=layer.dtype)


@pytest.mark.parametrize("shape", [(7, 3), (4, 5, 6, 3), (2, 3, 4, 5, 2)])
@pytest.mark.parametrize("running", [False, True])
def test_equals_flax_in_value_statistics_and_gradients(shape, running):
    layer = BatchNorm(use_running_average=running)
    x = maps(shape)
    variables = flax_layer(layer).init(jax.random.key(0), x)
    assert jax.tree.all(
        jax.tree.map(np.array_equal, layer.init(jax.random.key(0), x), variables)
    )
    variables = jax.tree.map(lambda leaf: leaf + 0.5, variables)

    @jax.jit
    def value_and_gradients(variables, x):
        results = []
        for each in (layer, flax_layer(layer)):

            def loss(params, x, each=each):
                given = {**variables, "params": params}
                out, updated = each.apply(given, x, mutable=["batch_stats"])
                return jnp.sin(out).sum(), (out, updated)

            results.append(
                jax.grad(loss, argnums=(0, 1), has_aux=True)(variables["params"], x)
            )
        return results

    ours, theirs = value_and_gradients(variables, x)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_float32_rounded_once(dtype):
    layer = BatchNorm(use_running_average=False)
    x = maps((64, 3), dtype)
    out, variables = layer.init_with_output(jax.random.key(0), x)
    wide, _ = layer.init_with_output(jax.random.key(0), x.astype(jnp.float32))
    assert out.dtype == dtype
    assert jax.tree.leaves(variables)[0].dtype == jnp.float32
    np.testing.assert_array_equal(out, wide.astype(dtype))


def test_a_constant_channel_gives_its_bias_and_finite_gradients():
    layer = BatchNorm(use_running_average=False)
    x = jnp.full((6, 2), 3.3)
    variables = layer.init(jax.random.key(0), x)

    def out(x):
        return layer.apply(variables, x, mutable=["batch_stats"])[0]

    np.testing.assert_allclose(out(x), 0, atol=1e-3)
    assert np.all(np.isfinite(jax.grad(lambda x: jnp.cos(out(x)).sum())(x)))


@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_answered_with_one_line():
    x, key = maps((6, 2)), jax.random.key(0)
    with pytest.raises(TypeError, match="the map must be an array, got list"):
        BatchNorm(True).init(key, [[1.0]])
    with pytest.raises(TypeError, match="momentum takes a number, got 'a'"):
        BatchNorm(False, momentum="a").init(key, x)
    with pytest.raises(TypeError, match="epsilon takes a number, got None"):
        BatchNorm(False, epsilon=None).init(key, x)
