"""A dense map whose operator waits until what follows entry by entry is done.

It is kept in blocks, each as large as the thinned map, so that the equations of the
function, which know that shape alone, can be applied as they are, with whatever
derivatives they have: an entry does not see where it lies.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from cnnlab.diagnostics.surgery.cut import Cut, Layout
from cnnlab.diagnostics.surgery.operators import Resolved
from cnnlab.diagnostics.surgery.thinning import thinned


@dataclasses.dataclass(frozen=True)
class Pending:
    """A dense map in blocks.

    Attributes:
        blocks: `[blocks, *shape of the thinned map]`.
        layout: of the thinned map.
        counts, sides: the blocks along each spatial axis, and the dense map's entries.
        finish: the thinned map, from the dense one and its layout.
    """

    blocks: Array
    layout: Layout
    counts: tuple[int, ...]
    sides: tuple[int, ...]
    finish: Callable[[Array, Layout], Array]

    def dense(self) -> Array:
        """The dense map, in the layout of the thinned one."""
        shape = self.blocks.shape[1:]
        y = self.blocks.reshape(*self.counts, *shape)
        y = y.transpose(_interleaved(self.layout.axes, len(shape)))
        sides = dict(zip(self.layout.axes, self.sides, strict=True))
        counts = dict(zip(self.layout.axes, self.counts, strict=True))
        y = y.reshape([n * counts.get(axis, 1) for axis, n in enumerate(shape)])
        return y[tuple(slice(sides.get(axis)) for axis in range(y.ndim))]


def pending(dense: Array, cut: Cut, operator: Resolved) -> Pending:
    """`dense`, which `operator` is to thin at the strides of the cut."""
    layout = cut.layout
    shape = list(dense.shape)
    for axis in layout.axes:
        shape[axis] = cut.site.output_shape[axis]
    sides = tuple(dense.shape[axis] for axis in layout.axes)
    counts = tuple(
        -(-side // shape[axis]) for axis, side in zip(layout.axes, sides, strict=True)
    )
    margins, split = [], []
    for axis, side in enumerate(dense.shape):
        if axis in layout.axes:
            count = counts[layout.axes.index(axis)]
            margins.append((0, count * shape[axis] - side))
            split += [count, shape[axis]]
        else:
            margins.append((0, 0))
            split.append(side)
    # What fills the last blocks is cut off again; entries of the map itself keep to
    # what the function can be applied to.
    y = jnp.pad(dense, margins, mode="edge").reshape(split)
    order = _interleaved(layout.axes, dense.ndim)
    y = y.transpose([order.index(axis) for axis in range(y.ndim)])
    return Pending(
        y.reshape(math.prod(counts), *shape),
        layout,
        counts,
        sides,
        lambda dense, layout: thinned(dense, layout, cut, operator),
    )


def settled(value: Any) -> Any:
    """`value`, thinned now if it has been waiting."""
    if not isinstance(value, Pending):
        return value
    return value.finish(value.dense(), value.layout)


def _interleaved(axes: tuple[int, ...], rank: int) -> list[int]:
    """Of an array `[*counts, *map]`, the order with each count before its axis."""
    order = []
    for axis in range(rank):
        if axis in axes:
            order.append(axes.index(axis))
        order.append(len(axes) + axis)
    return order
