"""What a function's arguments are to it: its image, and its parameters."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from cnnlab.ops.arguments import check_integer


def described(leaf) -> jax.ShapeDtypeStruct:
    """The shape and dtype of a leaf of the arguments.

    Raises:
        TypeError: no array can be made of it.
    """
    if isinstance(leaf, bool | int | float | complex):
        return jax.ShapeDtypeStruct((), jnp.result_type(leaf))
    if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
        raise TypeError(
            f"arguments must be trees of arrays, got one with {type(leaf).__name__}"
        )
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def roles(args: tuple, image: int) -> tuple[int, list[int]]:
    """Of all leaves of `args`, which is the image, and which are parameters.

    Raises:
        ValueError: the image is none of the arguments, or not one array.
        TypeError: `image` is no integer.
    """
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
                if is_parameter and jnp.issubdtype(described(leaf).dtype, jnp.inexact)
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


def spatial_axes(shape: tuple[int, ...], spatial: Sequence[int] | None) -> list[int]:
    """The spatial axes of an image; None means all but the first and the last.

    Raises:
        ValueError: the image does not have these axes, or no pixels along them.
        TypeError: an axis that is no integer.
    """
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
