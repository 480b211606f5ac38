"""Operators inside of `jax.shard_map`, where every array says over what it varies."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from cnnlab.ops import conv, global_pools, pools, windows
from cnnlab.ops.contractions import elsewhere
from cnnlab.ops.convolution_form import Form
from cnnlab.ops.pool_definition import weights_of
from cnnlab.ops.registry import takes

BATCH = P("batch")
# Groups, strides and the kernel's shape, for each way in which a CPU has gradients.
KERNELS = {
    "few channels": (1, 1, (3, 3, 4, 6)),
    "products by rows": (1, 1, (5, 5, 4, 16)),
    "products by windows": (1, 2, (3, 3, 4, 16)),
    "pointwise": (1, 1, (1, 1, 4, 6)),
    "groups": (2, 2, (3, 3, 2, 6)),
    "depthwise": (4, 2, (3, 3, 1, 4)),
}


def on_one_device(function, in_specs, out_specs):
    """`function` on a mesh of one device, whose types are checked as on many."""
    mesh = Mesh(jax.devices()[:1], ("batch",))
    return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs)


def maps():
    return 0.1 + jnp.abs(jax.random.normal(jax.random.key(0), (2, 8, 8, 4)))


def both(first, second):
    """One program for two, which is sooner compiled."""
    return jax.jit(lambda *arguments: (first(*arguments), second(*arguments)))


def assert_all_close(got, wanted):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-5), got, wanted
    )


@pytest.mark.parametrize("kind", KERNELS)
def test_gradients_of_conv_are_the_plain_ones(kind):
    groups, strides, shape = KERNELS[kind]
    kernel = jax.random.normal(jax.random.key(1), shape)

    def loss(x, kernel):
        return jnp.sin(conv(x, kernel, strides, groups=groups)).sum()

    gradients = jax.grad(loss, argnums=(0, 1))
    mapped = on_one_device(gradients, (BATCH, P()), (BATCH, P()))
    got, wanted = both(mapped, gradients)(maps(), kernel)
    assert_all_close(got, wanted)


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("result", ["x", "kernel"])
def test_accelerators_are_given_gradients_too(kind, result):
    groups, strides, shape = KERNELS[kind]
    kernel, x = jnp.ones((1, *shape)), maps()[None]
    window = windows.geometry(x.shape[2:4], shape[:2], strides, "SAME")
    form = Form(x.shape[2:4], shape[:2], window.strides, window.padding, (1, 1), groups)
    y = jnp.ones((*x.shape[:2], *window.output_shape, shape[-1]))
    operands = {"x": (kernel, y), "kernel": (x, y)}[result]
    contraction = functools.partial(elsewhere, result=result, form=form)
    mapped = on_one_device(contraction, (BATCH, BATCH), BATCH)
    traced = jax.eval_shape(mapped, *operands)
    assert traced.shape == {"x": x, "kernel": kernel}[result].shape


def test_conv_takes_kernels_that_vary_where_the_map_does_not():
    kernels = jax.random.normal(jax.random.key(1), (1, 3, 3, 4, 6))

    def gradients(x, kernels):
        def loss(x, kernels):
            return jnp.sin(conv(x, kernels[0])).sum()

        return jax.grad(loss, argnums=(0, 1))(x, kernels)

    mapped = on_one_device(gradients, (P(), BATCH), (P(), BATCH))
    got, wanted = both(mapped, gradients)(maps(), kernels)
    assert_all_close(got, wanted)


def pulled_back(name):
    """What gives the gradients of a map and of what the pool learns, which is shared.

    The draws of a pool that makes any vary as the map does.
    """
    pool = functools.partial(pools[name], window_shape=2, strides=2)

    def gradients(seeds, x, weights):
        keys = {"key": jax.random.key(seeds[0])} if takes(pool, "key") else {}

        def loss(x, weights):
            return jnp.sin(pool(x, **weights, **keys)).sum()

        return jax.grad(loss, argnums=(0, 1))(x, weights)

    mapped = on_one_device(gradients, (BATCH, BATCH, P()), (BATCH, P()))
    weights = jax.tree.map(jnp.asarray, weights_of(pool, 2, maps().shape[-1]))
    return gradients, mapped, (jnp.arange(1), maps(), weights)


@pytest.mark.parametrize("name", pools)
def test_pools_have_gradients(name):
    _, mapped, arguments = pulled_back(name)
    # What varies is checked in tracing.
    of_map, of_weights = jax.eval_shape(mapped, *arguments)
    assert of_map.shape == maps().shape
    assert set(of_weights) == set(pools[name].weights)


@pytest.mark.slow
@pytest.mark.parametrize("name", pools)
def test_gradients_of_pools_are_the_plain_ones(name):
    plain, mapped, arguments = pulled_back(name)
    got, wanted = both(mapped, plain)(*arguments)
    assert_all_close(got, wanted)


@pytest.mark.parametrize("name", global_pools)
def test_global_pools_have_gradients(name):
    def gradient(x):
        return jax.grad(lambda x: jnp.sin(global_pools[name](x)).sum())(x)

    traced = jax.eval_shape(on_one_device(gradient, BATCH, BATCH), maps())
    assert traced.shape == maps().shape
