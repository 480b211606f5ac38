"""A dense map under the operator that now thins it."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from cnnlab.diagnostics.surgery.cut import Cut, Layout
from cnnlab.diagnostics.surgery.operators import Resolved
from cnnlab.diagnostics.surgery.site import Site
from cnnlab.ops import windows
from cnnlab.ops.registry import takes, unwrapped


def thinned(dense: Array, layout: Layout, cut: Cut, operator: Resolved) -> Array:
    """`dense` thinned by `operator` at the strides of the cut, in the same layout.

    Raises:
        ValueError: the operator refuses it, or gives another shape than the site has.
    """
    taken = (*layout.axes, layout.channels)
    others = [axis for axis in range(dense.ndim) if axis not in taken]
    channels = () if layout.channels is None else (layout.channels,)
    order = (*others, *layout.axes, *channels)
    x = dense.transpose(order)
    x = x if channels else x[..., None]
    kept = tuple(cut.site.output_shape[axis] for axis in cut.layout.axes)
    begun = kept if cut.whole_windows else _begun(dense, layout, cut.site)
    y = _called(x, begun, cut, operator)
    wanted = (*x.shape[: len(others)], *begun, x.shape[-1])
    if jnp.shape(y) != wanted or y.dtype != x.dtype:
        raise ValueError(
            f"{_at(cut.site, operator)} gives {jnp.shape(y)} of {jnp.result_type(y)}, "
            f"and the function goes on with {wanted} of {x.dtype}"
        )
    # A torus has windows at every place, also where the strides end before.
    y = y[(..., *map(slice, kept), slice(None))]
    y = y if channels else y[..., 0]
    return y.transpose([order.index(axis) for axis in range(dense.ndim)])


def _begun(dense: Array, layout: Layout, site: Site) -> tuple[int, ...]:
    """How many windows a dense map has: as many as strides begin on it."""
    sides = (dense.shape[axis] for axis in layout.axes)
    return tuple(-(-n // step) for n, step in zip(sides, site.strides, strict=True))


def _called(x, begun, cut: Cut, operator: Resolved):
    path = _path(x, begun, cut, operator)
    try:
        return operator.function(x, *path, **_options(cut.site, operator))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{_at(cut.site, operator)}: {error}") from error


def _path(x, begun, cut: Cut, operator: Resolved):
    """The window, strides and padding with which the operator is called."""
    site, rank = cut.site, len(cut.site.strides)
    if cut.whole_windows:
        own, lows = site.window_shape, [low for low, _ in site.padding]
    else:
        own, lows = site.strides, [0] * rank
    sizes = own
    if operator.window_shape is not None:
        sizes = windows.sizes(operator.window_shape, rank, "window_shape")
    if cut.whole_windows and sizes == own:
        return own, site.strides, site.padding
    centred = own if cut.whole_windows else (1,) * rank
    padding = []
    for entries, count, size, step, old, low in zip(
        x.shape[-1 - rank : -1], begun, sizes, site.strides, centred, lows, strict=True
    ):
        # Centred on the old windows, and beginning as often as they do.
        low = max(low + (size - old) // 2, 0)
        padding.append((low, max((count - 1) * step + size - entries - low, 0)))
    return sizes, site.strides, tuple(padding)


def _options(site: Site, operator: Resolved) -> dict[str, Any]:
    _, bound = unwrapped(operator.function)
    if site.boundary == "zero" or "boundary" in bound:
        return {}
    accepts = takes(operator.function, "boundary")
    return {"boundary": site.boundary} if accepts else {}


def _at(site: Site, operator: Resolved) -> str:
    return f"site {site.index} ({site.operator}): {operator.name}"
