"""What follows the image when it is rolled, read from a function and never computed.

On a torus an image can be rolled by any (dy, dx). A value is *equivariant* under shifts
that roll it along, by the shift over its stride, and *invariant* under those that leave
it the same. The walk finds these by rules, one for each operation, none of which claims
a shift without proof: where an operation is not known, the identity alone is left.
"""

from collections.abc import Callable, Sequence

import jax

from cnnlab.diagnostics.fields import fields_of
from cnnlab.diagnostics.geometry.rows import walk_of
from cnnlab.diagnostics.geometry.table import Break, Row, Walk
from cnnlab.diagnostics.geometry.walking import facts_of
from cnnlab.diagnostics.program import trace
from cnnlab.diagnostics.roles import described, roles, spatial_axes

__all__ = ["Break", "Row", "Walk", "walk"]


def walk(
    function: Callable, *args, image: int = -1, spatial: Sequence[int] | None = None
) -> Walk:
    """Stride, phase, receptive field, margin and shifts of every value on the image.

    `walk(model.apply, variables, images)` for a Flax module; for any other function,
    the parameters in as many arguments as it has. Nothing is computed.

    Claims are about exact arithmetic: sums may differ by their rounding. What averages
    make up for (a mean over all entries of average pools) and what parameters happen to
    hold is not looked for, so that the computed shifts can be more, never fewer.

    Args:
        args: trees of arrays, `jax.ShapeDtypeStruct`s or numbers.
        image: which argument is the image, or the batch of them.
        spatial: its spatial axes; None means all but the first and the last.

    Raises:
        ValueError: the image is not one array with these axes.
        TypeError: an argument that no array can be, an axis that is no integer, or a
            function that JAX cannot trace.
    """
    leaves = [described(leaf) for leaf in jax.tree.leaves(args)]
    position, _ = roles(args, image)
    spatial = spatial_axes(leaves[position].shape, spatial)
    program = trace(function, *args)
    known, losses = facts_of(program, position, spatial)
    seen = fields_of(program, position, spatial)
    size = [leaves[position].shape[axis] for axis in spatial]
    names = _names(function, args)
    return walk_of(program, size, known, losses, seen, names)


def _names(function, args) -> list[str]:
    """Those of the leaves of what the function returns."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(jax.eval_shape(function, *args))
    return [f"output{jax.tree_util.keystr(path)}" for path, _ in leaves]
