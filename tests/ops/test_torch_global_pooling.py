"""Global and adaptive pools equal PyTorch's: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from geometries import signed_map

from cnnlab.ops.global_pooling import (
    adaptive_avg_pool,
    adaptive_max_pool,
    global_avg_pool,
    global_max_pool,
)

torch = pytest.importorskip(
    "torch", reason="PyTorch (the extra `bench`) is not installed: no peer to compare"
)
functional = torch.nn.functional

pytestmark = pytest.mark.peer

POOLS = pytest.mark.parametrize(
    ("kind", "adaptive", "to_one"),
    [
        ("max", adaptive_max_pool, global_max_pool),
        ("avg", adaptive_avg_pool, global_avg_pool),
    ],
)


def _assert_equal(ours, theirs, x):
    out, pull = jax.vjp(ours, jnp.asarray(x))
    weights = np.cos(np.arange(out.size, dtype=np.float32)).reshape(out.shape)
    leaf = torch.tensor(x, requires_grad=True)
    other = theirs(leaf.movedim(-1, 1)).movedim(1, -1).reshape(out.shape)
    other.backward(torch.tensor(weights))
    np.testing.assert_allclose(out, other.detach(), rtol=1e-5, atol=1e-6)
    gradient = pull(jnp.asarray(weights))[0]
    np.testing.assert_allclose(gradient, leaf.grad, rtol=1e-5, atol=1e-6)


@POOLS
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((9,), (4,)),
        ((7, 5), (3, 3)),
        ((8, 6), (4, 2)),
        ((5, 4), (7, 8)),
        ((5, 6, 4), (2, 3, 3)),
    ],
)
def test_adaptive_pools(kind, adaptive, to_one, shape, size):
    pool = getattr(functional, f"adaptive_{kind}_pool{len(shape)}d")
    x = signed_map((2, *shape, 3))
    x[0, 1, ..., 0] = -np.inf
    _assert_equal(lambda x: adaptive(x, size), lambda x: pool(x, size), x)


@POOLS
def test_nan_is_seen_alike(kind, adaptive, to_one):
    pool = getattr(functional, f"adaptive_{kind}_pool2d")
    x = signed_map((2, 7, 5, 3))
    x[0, 3, 1, 0] = np.nan
    theirs = pool(torch.tensor(x).movedim(-1, 1), 3).movedim(1, -1)
    np.testing.assert_allclose(adaptive(jnp.asarray(x), 3), theirs, rtol=1e-5)


@POOLS
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_global_pools(kind, adaptive, to_one, rank):
    pool = getattr(functional, f"adaptive_{kind}_pool{rank}d")
    x = signed_map((2, *(5, 4, 3)[:rank], 3))
    _assert_equal(lambda x: to_one(x, axes=rank), lambda x: pool(x, 1), x)
