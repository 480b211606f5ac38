"""Operators inside of `jax.shard_map`, where every array says over what it varies."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from cnnlab.ops import conv, global_pools, pools
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


def lowers(mapped, arguments, platform="cpu"):
    """Holds that what varies fits, in tracing and in what each platform is given."""
    jax.jit(mapped).trace(*arguments).lower(lowering_platforms=(platform,))


def conv_of(kind):
    """Both gradients of a convolution, the same in `shard_map`, and the arguments."""
    groups, strides, shape = KERNELS[kind]
    kernel = jax.random.normal(jax.random.key(1), shape)

    def loss(x, kernel):
        return jnp.sin(conv(x, kernel, strides, groups=groups)).sum()

    gradients = jax.grad(loss, argnums=(0, 1))
    mapped = on_one_device(gradients, (BATCH, P()), (BATCH, P()))
    return gradients, mapped, (maps(), kernel)


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_conv_has_gradients(kind, platform):
    _, mapped, arguments = conv_of(kind)
    lowers(mapped, arguments, platform)


QUICK = "products by rows"


@pytest.mark.parametrize(
    "kind",
    [pytest.param(k, marks=[] if k == QUICK else pytest.mark.slow) for k in KERNELS],
)
def test_gradients_of_conv_are_the_plain_ones(kind):
    plain, mapped, arguments = conv_of(kind)
    assert_all_close(*both(mapped, plain)(*arguments))


def test_conv_takes_kernels_that_vary_where_the_map_does_not():
    kernels = jax.random.normal(jax.random.key(1), (1, 3, 3, 4, 6))

    def gradients(x, kernels):
        def loss(x, kernels):
            return jnp.sin(conv(x, kernels[0])).sum()

        return jax.grad(loss, argnums=(0, 1))(x, kernels)

    mapped = on_one_device(gradients, (P(), BATCH), (P(), BATCH))
    assert_all_close(*both(mapped, gradients)(maps(), kernels))


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
    lowers(mapped, arguments)


@pytest.mark.slow
@pytest.mark.parametrize("name", pools)
def test_gradients_of_pools_are_the_plain_ones(name):
    plain, mapped, arguments = pulled_back(name)
    assert_all_close(*both(mapped, plain)(*arguments))


@pytest.mark.parametrize("name", global_pools)
def test_global_pools_have_gradients(name):
    def gradient(x):
        return jax.grad(lambda x: jnp.sin(global_pools[name](x)).sum())(x)

    lowers(on_one_device(gradient, BATCH, BATCH), (maps(),))
