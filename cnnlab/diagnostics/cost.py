"""What a function of images costs and what it sees, operation by operation.

Counted are the operations of the traced program, not a list of layer types: the
function may be written with anything that JAX can trace. Nothing is computed.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax

from cnnlab.diagnostics.activation_memory import kept_bytes, peak_bytes
from cnnlab.diagnostics.cost_rows import Row, rows_of
from cnnlab.diagnostics.fields import fields_of
from cnnlab.diagnostics.parameter_use import parameters_of
from cnnlab.diagnostics.program import trace
from cnnlab.diagnostics.roles import described, roles, spatial_axes


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
    leaves = [described(leaf) for leaf in jax.tree.leaves(args)]
    position, parameters = roles(args, image)
    spatial = spatial_axes(leaves[position].shape, spatial)
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
