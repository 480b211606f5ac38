"""Pools that are wrong in one place, beside the right ones.

Each entry is (wrong, right, the kind of verdict that tells them apart).
"""

import jax
import jax.numpy as jnp

from cnnlab.ops import max_pool
from cnnlab.ops.polyphase import adaptive_polyphase

_HALVES = {"window_shape": 2, "strides": 2}


def _off_by_one(x):
    """Of the last row of windows each begins one column too far to the right."""
    right, late = (max_pool(y, **_HALVES) for y in (x, jnp.roll(x, -1, 2)))
    return right.at[:, -1].set(late[:, -1])


def _polyphase(x):
    return adaptive_polyphase(x, pool=None, **_HALVES)


def _ties_by_index(x):
    """The component of the largest norm, of equal ones the first."""
    parts = jnp.stack([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], 1)
    norms = jnp.sum(parts**2, (2, 3, 4))
    return jnp.take_along_axis(parts, jnp.argmax(norms, 1)[:, *[None] * 4], 1)[:, 0]


def _last_of_equals(x):
    """Where in its window the maximum is, from the first row on or from the last."""
    taps = jnp.stack([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)])
    first = jnp.argmax(taps, 0)
    last = 3 - jnp.argmax(taps[::-1], 0)
    upper = jnp.arange(taps.shape[2])[:, None, None] < 1
    return jnp.where(upper, first, last).astype(x.dtype)


def _first_of_equals(x):
    taps = jnp.stack([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)])
    return jnp.argmax(taps, 0).astype(x.dtype)


def _a_column_apart(x):
    """The right pool, but for a ReLU that is left out before one column of it."""
    column = jnp.arange(x.shape[2])[:, None] // 2 == 1
    return max_pool(jnp.where(column, x - 1, jax.nn.relu(x - 1)), **_HALVES)


MUTANTS = {
    "off by one": (_off_by_one, lambda x: max_pool(x, **_HALVES), "equivariant"),
    "ties by index": (_ties_by_index, _polyphase, "rolled"),
    "place decides ties": (_last_of_equals, _first_of_equals, "equivariant"),
    "a column apart": (
        _a_column_apart,
        lambda x: max_pool(jax.nn.relu(x - 1), **_HALVES),
        "equivariant",
    ),
}
