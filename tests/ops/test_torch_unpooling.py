"""Switches and unpooling equal PyTorch's, where no two windows share an entry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from geometries import signed_map

from cnnlab.ops.unpooling import max_pool_with_switches, max_unpool

torch = pytest.importorskip(
    "torch", reason="PyTorch (the extra `bench`) is not installed: no peer to compare"
)
functional = torch.nn.functional

pytestmark = pytest.mark.peer

CASES = pytest.mark.parametrize(
    ("shape", "window", "strides", "padding"),
    [
        ((9,), (3,), (3,), 1),
        ((8, 6), (2, 2), (2, 2), 0),
        ((7, 9), (2, 3), (2, 3), (1, 1)),
        ((9, 8), (2, 2), (3, 4), 0),
        ((4, 6, 5), (2, 2, 2), (2, 3, 2), 0),
    ],
)


def _theirs(x):
    return torch.tensor(np.asarray(x)).movedim(-1, 1).requires_grad_()


def _positions(switches, shape, window, strides, padding):
    """PyTorch's switches: positions on the map, row-major."""
    offsets = np.unravel_index(switches, window)
    padding = np.broadcast_to(padding, len(shape))
    places = np.indices(switches.shape)[1:-1]
    where = [
        place * s + offset - p
        for place, s, offset, p in zip(places, strides, offsets, padding, strict=True)
    ]
    return np.ravel_multi_index(where, shape)


@CASES
def test_max_pool_with_switches(shape, window, strides, padding):
    x = signed_map((2, *shape, 3))
    x[1, 2, ..., 1] = np.nan
    if len(shape) < 3:
        # Theirs names entries outside of the window in three dimensions.
        x[0, ..., 0] = -np.inf
    pooled, switches = max_pool_with_switches(jnp.asarray(x), window, strides, padding)
    pool = getattr(functional, f"max_pool{len(shape)}d")
    wanted, positions = pool(_theirs(x), window, strides, padding, return_indices=True)
    np.testing.assert_array_equal(pooled, wanted.detach().movedim(1, -1))
    np.testing.assert_array_equal(
        _positions(np.asarray(switches), shape, window, strides, padding),
        positions.movedim(1, -1),
    )


@CASES
@pytest.mark.parametrize("overlap", ["mean", "sum"])
def test_max_unpool(shape, window, strides, padding, overlap):
    x = jnp.asarray(signed_map((2, *shape, 3)))
    path = (window, strides, padding)
    pooled, switches = max_pool_with_switches(x, *path)
    held = jnp.cos(jnp.arange(pooled.size, dtype=jnp.float32)).reshape(pooled.shape)
    weights = jnp.sin(jnp.arange(x.size, dtype=jnp.float32)).reshape(x.shape)

    out, pull = jax.vjp(
        lambda held: max_unpool(held, switches, shape, *path, overlap=overlap), held
    )
    positions = _positions(np.asarray(switches), shape, window, strides, padding)
    theirs = _theirs(held)
    unpool = getattr(functional, f"max_unpool{len(shape)}d")
    wanted = unpool(
        theirs,
        torch.tensor(positions).movedim(-1, 1),
        window,
        strides,
        padding,
        output_size=shape,
    )
    np.testing.assert_array_equal(out, wanted.detach().movedim(1, -1))
    wanted.backward(_theirs(weights).detach())
    np.testing.assert_array_equal(pull(weights)[0], theirs.grad.movedim(1, -1))
