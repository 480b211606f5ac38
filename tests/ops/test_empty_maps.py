"""Maps without an example or without a channel: no result, but one of the right shape.

The last batch of a filtered data set may be empty; no caller has to ask whether it is.
"""

import jax
import jax.numpy as jnp
import pytest

from cnnlab.ops import (
    adaptive_avg_pool,
    adaptive_max_pool,
    depth_to_space,
    global_pools,
    max_pool_with_switches,
    max_unpool,
    pools,
    space_to_depth,
)
from cnnlab.ops.registry import takes

SHAPES = (0, 8, 7, 4), (2, 0, 8, 7, 4), (2, 8, 7, 0)
EMPTY = pytest.mark.parametrize("shape", SHAPES)


def _hold(function, shape):
    """That the result has the shape of a full map's, the empty axis aside."""
    axis = -1 if shape[-1] == 0 else shape.index(0)
    full = jax.ShapeDtypeStruct([n or 4 for n in shape], jnp.float32)
    wanted = list(jax.eval_shape(function, full).shape)
    wanted[axis] = 0

    @jax.jit
    def value_and_gradient(x):
        out, pull = jax.vjp(function, x)
        return out, *pull(out)

    out, gradient = value_and_gradient(jnp.zeros(shape))
    assert (out.shape, gradient.shape) == (tuple(wanted), shape)


@EMPTY
@pytest.mark.parametrize("name", pools)
def test_pools(name, shape):
    keys = (None, jax.random.key(0)) if takes(pools[name], "key") else (None,)
    for key in keys:
        options = {} if key is None else {"key": key}
        _hold(lambda x, o=options: pools[name](x, 3, 2, "SAME", **o), shape)


@EMPTY
@pytest.mark.parametrize("name", global_pools)
def test_global_pools(name, shape):
    _hold(global_pools[name], shape)


@EMPTY
@pytest.mark.parametrize("pool", [adaptive_avg_pool, adaptive_max_pool])
def test_adaptive_pools(pool, shape):
    _hold(lambda x: pool(x, (4, 3)), shape)


@EMPTY
@pytest.mark.parametrize("overlap", ["mean", "sum"])
def test_switches_and_unpooling(overlap, shape):
    path = (3, 2, "SAME")

    def there_and_back(x):
        pooled, switches = max_pool_with_switches(x, *path)
        return max_unpool(pooled, switches, (8, 7), *path, overlap=overlap)

    _hold(there_and_back, shape)


@EMPTY
@pytest.mark.parametrize("move", [space_to_depth, depth_to_space])
def test_space_to_depth_and_back(move, shape):
    _hold(lambda x: move(x, (4, 1)), shape)
