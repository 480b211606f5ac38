"""What a function of images costs and what it sees, operation by operation.

Counted are the operations of the traced program, not a list of layer types: the
function may be written with anything that JAX can trace. Nothing is computed.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from cnnlab.diagnostics.activation_memory import kept_bytes, peak_bytes
from cnnlab.diagnostics.cost_rows import Row, rows_of
from cnnlab.diagnostics.fields import fields_of
from cnnlab.diagnostics.parameter_use import parameters_of
from cnnlab.diagnostics.program import trace
from cnnlab.ops.arguments import check_integer


@dataclasses.dataclass(frozen=True)
class Table:
    """The cost of a function.

    Attributes:
        rows: its operations in order.
        parameters: entries of all parameters, used or not.
        forward_bytes: the most that values computed from the image take at once.
        training_bytes: what is kept for the backward pass.
    """

    rows: tuple[Row, ...]
    parameters: int
    forward_bytes: int
    training_bytes: int

    @property
    def macs(self) -> int:
        """The multiply-accumulates of all rows."""
        return sum(row.macs for row in self.rows)

    @property
    def unused_parameters(self) -> int:
        """Entries of parameters that no operation on the image takes."""
        return self.parameters - sum(row.parameters for row in self.rows)

    @property
    def last_map(self) -> Row | None:
        """The last row that has several entries along each axis, and no global view."""
        return next((row for row in reversed(self.rows) if row.is_map), None)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values: a field without bounds is "all", unknown is null."""
        return {
            "parameters": self.parameters,
            "unused_parameters": self.unused_parameters,
            "macs": self.macs,
            "forward_bytes": self.forward_bytes,
            "training_bytes": self.training_bytes,
            "rows": [row.as_json() for row in self.rows],
        }


def count(
    function: Callable,
    *args,
    image: int = -1,
    spatial: Sequence[int] | None = None,
    training: Callable | None = None,
) -> Table:
    """The cost of `function(*args)`, and which pixels of its image each value sees.

    `count(model.apply, variables, images)` for a Flax module; for any other function,
    the parameters in as many arguments as it has.

    - Parameters are the floating-point leaves of all arguments but the image; of a
      mapping with the entry "params", as Flax has it, that entry's alone. They count
      where they first meet the image, and each once.
    - Multiply-accumulates are those of `multiply_accumulates`, for the whole batch.
    - Receptive field, stride, phase and padding: see `receptive_field`.
    - Forward memory is the peak in program order, every operator at once, before any
      fusing by the compiler. Training memory is what `jax.vjp` by the parameters keeps
      (by the image, where there are none), without arguments.

    Args:
        args: trees of arrays, `jax.ShapeDtypeStruct`s or numbers.
        image: which argument is the image, or the batch of them.
        spatial: its spatial axes; None means all but the first and the last.
        training: the function as it is trained, of the same arguments; None means
            `function`.

    Raises:
        ValueError: the image is not one array with these axes.
        TypeError: an argument that no array can be, or an axis that is no integer.
    """
    leaves = [_described(leaf) for leaf in jax.tree.leaves(args)]
    position, parameters = _roles(args, image)
    spatial = _spatial_axes(leaves[position].shape, spatial)
    program = trace(function, *args)
    seen = fields_of(program, position, spatial)
    on_image = {value for value, fields in seen.items() if fields is not None}
    made_of = parameters_of(program, parameters, on_image)
    return Table(
        rows=rows_of(program, seen, made_of),
        parameters=sum(math.prod(leaves[index].shape) for index in parameters),
        forward_bytes=peak_bytes(program, on_image),
        training_bytes=kept_bytes(
            training or function, args, position, parameters or [position]
        ),
    )


def _described(leaf) -> jax.ShapeDtypeStruct:
    if isinstance(leaf, bool | int | float | complex):
        return jax.ShapeDtypeStruct((), jnp.result_type(leaf))
    if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
        raise TypeError(
            f"arguments must be trees of arrays, got one with {type(leaf).__name__}"
        )
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _roles(args: tuple, image: int) -> tuple[int, list[int]]:
    """Of all leaves of `args`, which is the image, and which are parameters."""
    check_integer("image", image)
    if not -len(args) <= image < len(args):
        raise ValueError(f"image {image} is none of the {len(args)} arguments")
    image %= len(args)
    start, position, parameters = 0, None, []
    for index, arg in enumerate(args):
        marked = _marked(arg)
        leaves = jax.tree.leaves(arg)
        if index == image:
            if len(leaves) != 1:
                raise ValueError(f"the image must be one array, got {len(leaves)}")
            position = start
        else:
            parameters += [
                start + i
                for i, (leaf, is_parameter) in enumerate(
                    zip(leaves, marked, strict=True)
                )
                if is_parameter and jnp.issubdtype(_described(leaf).dtype, jnp.inexact)
            ]
        start += len(leaves)
    return position, parameters


def _marked(tree) -> list[bool]:
    """For every leaf whether it counts: all do, or those of "params" alone."""
    if isinstance(tree, Mapping) and "params" in tree:
        tree = {
            name: jax.tree.map(lambda leaf, name=name: name == "params", part)
            for name, part in tree.items()
        }
        return jax.tree.leaves(tree)
    return [True] * len(jax.tree.leaves(tree))


def _spatial_axes(shape: tuple[int, ...], spatial: Sequence[int] | None) -> list[int]:
    rank = len(shape)
    if spatial is None:
        spatial = range(1, rank - 1)
    if not isinstance(spatial, Sequence):
        raise TypeError(f"spatial takes axes, such as (1, 2), got {spatial!r}")
    for axis in spatial:
        check_integer("spatial", axis)
    axes = [axis % rank for axis in spatial if -rank <= axis < rank]
    if not axes or len(set(axes)) < len(spatial):
        raise ValueError(
            f"an image of shape {shape} has no spatial axes {list(spatial)}; "
            "[batch, *spatial, channels] needs no `spatial`"
        )
    if any(shape[axis] < 1 for axis in axes):
        raise ValueError(f"an image of shape {shape} has no pixels")
    return axes
