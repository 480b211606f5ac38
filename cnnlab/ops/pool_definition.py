"""What makes a function a pool, and the registry that holds them.

A pool is `pool(x, window_shape, strides=1, padding="VALID", **options)`:

- `x`: `[*batch, *spatial, channels]`, any number of batch axes. An int `window_shape`
  is a square 2-D window; a tuple gives one to three spatial axes.
- `strides`, `padding`: as in `flax.linen`, and more (see `windows.geometry`).
- `boundary`: what the padded margin holds; "zero" means nothing: padding then never
  wins a maximum and is never drawn.

`@windowed` makes one of the reduction of a window's taps, `@mapped` of a function of
the whole map; `@pools.register` enters it under its name, which makes it a layer, a
model option, a flag value and a row of tests. Sums run in at least float32 and the
result has the map's dtype.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Num

from cnnlab.ops import windows
from cnnlab.ops.named import named
from cnnlab.ops.reductions import check_numbers
from cnnlab.ops.registry import Registry, takes, unwrapped
from cnnlab.ops.windows import Geometry

pools = Registry("pool")

# The first value of a learned weight, for a window over maps of so many channels.
Initial = Callable[[Geometry, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Traits:
    """What can be said of a pool beyond its equation; the tests hold it to them.

    Attributes:
        local: an entry of the result depends on its own window alone.
        channelwise: a channel of the result depends on that channel alone.
        averaging: a constant map, not padded, gives that constant.
        selecting: an entry of the result is one of its window's entries, the first of
            equal ones, and its gradient goes to that one alone.
        shift_exact: a circular shift of the map leaves the result the same, or shifts
            it where the strides divide the map.
        straight_through: the gradient of its learned weights is that of a stand-in, as
            its values only jump with them.
    """

    local: bool = True
    channelwise: bool = True
    averaging: bool = True
    selecting: bool = False
    shift_exact: bool = False
    straight_through: bool = False


def windowed(
    fill: float = 0.0,
    *,
    weights: Mapping[str, Initial] | None = None,
    traits: Traits = Traits(),  # noqa: B008 (frozen)
) -> Callable[[Callable], Callable]:
    """Makes a pool of a reduction `reduce_taps(taps, **options) -> Array`.

    Args:
        fill: what a tap on the padding holds under boundary "zero", as in
            `windows.taps`.
        weights, traits: as in `mapped`.
    """

    def decorate(reduce_taps: Callable) -> Callable:
        def whole_map(x, window, **options):
            return reduce_taps(windows.taps(x, window, fill), **options)

        boundaries = tuple(windows.BOUNDARIES)
        return _pool(whole_map, boundaries, weights, traits, described_by=reduce_taps)

    return decorate


def mapped(
    *,
    boundaries: tuple[str, ...] = tuple(windows.BOUNDARIES),
    weights: Mapping[str, Initial] | None = None,
    traits: Traits = Traits(),  # noqa: B008 (frozen)
) -> Callable[[Callable], Callable]:
    """Makes a pool of a function `body(x, window, **options) -> Array`.

    `window` is the checked `Geometry`, in whose words (and the options') the pool's one
    equation is named.

    Args:
        boundaries: those that the pool has a meaning for, its default first.
        weights: learned options. Each is None (the initial value given here, where a
            layer starts), an array of that shape, or a number for all of its entries.
    """

    def decorate(body: Callable) -> Callable:
        return _pool(body, boundaries, weights, traits, described_by=body)

    return decorate


def weights_of(
    pool: Callable, window_shape: windows.Sizes, channels: int
) -> dict[str, np.ndarray]:
    """The initial values of a pool's learned weights that its spec leaves open."""
    pool, bound = unwrapped(pool)
    rank = windows.rank_of(window_shape)
    size = windows.sizes(window_shape, rank, "window_shape")
    window = windows.geometry(size, size, 1, "VALID")
    return {
        name: np.asarray(initial(window, channels))
        for name, initial in getattr(pool, "weights", {}).items()
        if bound.get(name) is None
    }


def _pool(body, boundaries, weights, traits, *, described_by):
    """The pool that `body` computes, under the name and options of `described_by`."""
    weights = dict(weights or {})
    draws = takes(described_by, "key")

    def pool(
        x: Num[Array, "*batch_and_space channels"],
        window_shape: windows.Sizes,
        strides: windows.Sizes = 1,
        padding: windows.Padding = "VALID",
        *,
        boundary: str = boundaries[0],
        **options,
    ) -> Num[Array, "*batch_and_space_out channels"]:
        window = _geometry(x, window_shape, strides, padding, boundary)
        if boundary not in boundaries:
            raise ValueError(
                f"{described_by.__name__} has no boundary {boundary!r}; "
                f"choose from {', '.join(boundaries)}"
            )
        if draws:
            _check_key(options.get("key"))
        # Arrays are traced; everything else is part of the name.
        arrays = {k: v for k, v in options.items() if isinstance(v, windows.ARRAYS)}
        for name, initial in weights.items():
            first = np.asarray(initial(window, x.shape[-1]))
            arrays[name] = _weight(name, options.get(name), first)
        static = {
            k: tuple(v) if isinstance(v, list) else v
            for k, v in options.items()
            if k not in arrays
        }
        spec = "".join(f", {k}={v!r}" for k, v in static.items() if v is not None)
        call = named(
            f"{described_by.__name__}({window}{spec})",
            _in_dtype,
            compute=body,
            window=window,
            **static,
        )
        return call(x, **arrays)

    parameters = list(inspect.signature(pool).parameters.values())
    own = inspect.signature(described_by).parameters.values()
    parameters[-1:] = [p for p in own if p.kind == p.KEYWORD_ONLY]
    pool.__signature__ = inspect.Signature(parameters)
    for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(pool, attribute, getattr(described_by, attribute))
    pool.boundaries, pool.weights, pool.traits = boundaries, weights, traits
    return pool


def _in_dtype(x, *, compute, **keywords):
    return compute(x, **keywords).astype(x.dtype)


def _weight(name: str, value, initial: np.ndarray):
    if value is None:
        return initial
    try:
        # A number's own dtype; text would be taken for the name of one.
        array = value if isinstance(value, windows.ARRAYS) else np.asarray(value)
        dtype = array.dtype
        shape = np.shape(value)
    except ValueError:
        raise TypeError(f"{name} takes numbers, got {value!r}") from None
    if not (jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)):
        raise TypeError(f"{name} takes numbers, got {value!r}")
    if shape not in ((), initial.shape):
        raise ValueError(
            f"{name} of shape {shape} must have shape {initial.shape}, or be one number"
        )
    return jnp.broadcast_to(jnp.asarray(value), initial.shape)


def _check_key(key) -> None:
    if key is None:
        return
    got = type(key).__name__
    if isinstance(key, windows.ARRAYS):
        if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or key.dtype == np.uint32:
            return
        got = f"an array of {key.dtype}"
    raise TypeError(f"key takes a JAX key such as jax.random.key(0), got {got}")


def _geometry(x, window_shape, strides, padding, boundary) -> Geometry:
    spatial = windows.spatial_shape(x, windows.rank_of(window_shape))
    check_numbers(x)
    return windows.geometry(spatial, window_shape, strides, padding, boundary)
