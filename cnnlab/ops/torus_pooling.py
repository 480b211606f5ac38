"""Pooling on a torus: at every place, or from an offset on."""

from collections.abc import Callable

from jax import Array, lax

from cnnlab.ops import windows
from cnnlab.ops.pool_definition import pools
from cnnlab.ops.reductions import wide
from cnnlab.ops.registry import takes, unwrapped
from cnnlab.ops.rotation import rotate
from cnnlab.ops.windows import Geometry


def torus_pool(x: Array, window: Geometry, pool: str | Callable | None) -> Array:
    """`pool` at stride 1 over the torus, in at least float32: a map of `x`'s size."""
    x = wide(x)
    if pool is None:
        return x
    margins = tuple((0, size - 1) for size in window.window_shape)
    x = windows.pad(x, margins, "circular", 0)
    # Else the margin's branches are taken again for every tap, which costs a CPU more
    # than to lay the map out once.
    x = lax.optimization_barrier(x)
    return _dense_pool(pool)(x, window.window_shape, 1, "VALID")


def _dense_pool(pool: str | Callable) -> Callable:
    """The pool, if one of ours a plain function of every window."""
    resolved = pools.resolve(pool)
    own, _ = unwrapped(resolved)
    traits = getattr(own, "traits", None)
    if traits is not None and (not traits.local or own.weights or takes(own, "key")):
        raise ValueError(
            f"pool {pool!r} cannot be the dense one: it looks beyond its window, "
            "learns or draws"
        )
    return resolved


def pool_at(
    x: Array, offset: Array, window: Geometry, pool: str | Callable | None
) -> Array:
    """The windows that begin at offset + i strides on the torus, pooled."""
    x = rotate(x, offset)
    reduce = pools["max_pool"] if pool is None else _dense_pool(pool)
    shape = (1,) * len(window.strides) if pool is None else window.window_shape
    leading = x.ndim - len(shape) - 1
    ends = tuple(
        (n - 1) * s + w
        for n, s, w in zip(window.output_shape, window.strides, shape, strict=True)
    )
    spatial = x.shape[leading:-1]
    margins = tuple(
        (0, max(end - size, 0)) for end, size in zip(ends, spatial, strict=True)
    )
    x = windows.pad(x, margins, "circular", 0)
    x = x[(..., *map(slice, ends), slice(None))]
    return reduce(x, shape, window.strides, "VALID")
