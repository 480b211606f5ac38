"""A network cut at its last map: what makes the map, and what reads it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cnnlab.diagnostics.operation import Operation, Program, Value
from cnnlab.diagnostics.places import Place, places_of
from cnnlab.diagnostics.program import trace
from cnnlab.diagnostics.running import run


class Halves(NamedTuple):
    """A function of images as two: `head(features(images))` is what it gives.

    `features` gives maps [examples, rows, columns, channels], of several rows and
    columns; `head` takes them. Both are compiled for each number of examples.
    """

    features: Callable
    head: Callable


def halves(function: Callable, *args, image: int = -1) -> Halves:
    """`function(*args)` as features and a head, cut at the last map that it makes.

    `halves(model.apply, variables, images)` for a Flax module, and so on for anything
    that JAX can trace. Everything that the function gives of the images passes through
    that map: a network with a branch around it is cut before the branch. The other
    arguments are kept.

    Args:
        image: which of `args` the images are, `[examples, height, width, channels]`;
            of them shape and dtype alone are read.

    Raises:
        ValueError: no map is on the way of all that the function gives, or `image` is
            none of the arguments, or no such array.
    """
    if not -len(args) <= image < len(args):
        raise ValueError(f"image {image} is none of the {len(args)} arguments")
    args, image = list(args), range(len(args))[image]
    described = args[image]
    shape = getattr(described, "shape", None)
    if shape is None or len(shape) != 4:
        raise ValueError(
            "the images must be one array [examples, height, width, channels], got "
            f"{type(described).__name__ if shape is None else shape}"
        )
    kept = [None if i == image else arg for i, arg in enumerate(args)]

    def traced(examples: int) -> "_Cut":
        shape = (examples, *described.shape[1:])
        args[image] = jax.ShapeDtypeStruct(shape, described.dtype)
        return _cut(function, args, image)

    @jax.jit
    def of_images(kept, images):
        # A single example's axis cannot be told from others of one entry.
        images, examples = _two_or_more(images)
        leaves = jax.tree.leaves([*kept[:image], images, *kept[image + 1 :]])
        (maps,) = run(traced(len(images)).before, leaves, _as_it_is)
        return maps[:examples]

    @jax.jit
    def of_maps(kept, maps):
        maps, examples = _two_or_more(maps)
        cut = traced(len(maps))
        outputs = run(cut.after, [*jax.tree.leaves(kept), maps], _as_it_is)
        return jax.tree.unflatten(cut.tree, [each[:examples] for each in outputs])

    traced(max(2, described.shape[0]))
    return Halves(
        lambda images: of_images(kept, images), lambda maps: of_maps(kept, maps)
    )


class _Cut(NamedTuple):
    before: Program
    after: Program
    tree: jax.tree_util.PyTreeDef


def _cut(function, args, image: int) -> _Cut:
    program = trace(function, *args)
    position = len(jax.tree.leaves(args[:image]))
    images = program.inputs[position]
    others = [value for value in program.inputs if value is not images]
    places = places_of(program, position)
    tree = jax.tree.structure(jax.eval_shape(function, *args))
    for operation in reversed(program.operations):
        for value in operation.outputs:
            if not _is_map(value, places.get(value)):
                continue
            after, asked = _needed(program, program.outputs, stop=value)
            if images not in asked:
                before, _ = _needed(program, [value])
                return _Cut(
                    Program(program.inputs, before, (value,)),
                    Program((*others, value), after, program.outputs),
                    tree,
                )
    raise ValueError(
        "no map of several rows and columns is on the way of all that the function "
        f"gives of images {images.shape}"
    )


def _is_map(value: Value, place: Place | None) -> bool:
    if place is None or not place.is_map or len(value.shape) != 4:
        return False
    return (place.batch, place.axes) == (0, (1, 2))


def _needed(
    program: Program, wanted, stop: Value | None = None
) -> tuple[tuple[Operation, ...], set[Value]]:
    """The operations that give the wanted values, and all that these ask for.

    Args:
        stop: a value that is given.
    """
    asked, kept = set(wanted), []
    for operation in reversed(program.operations):
        if stop in operation.outputs:
            asked.discard(stop)
        if not asked.isdisjoint(operation.outputs):
            kept.append(operation)
            asked.update(operation.inputs)
    return tuple(reversed(kept)), asked


def _two_or_more(batch) -> tuple[jax.Array, int]:
    examples = len(batch)
    return (jnp.concatenate([batch, batch]) if examples == 1 else batch), examples


def _as_it_is(operation, inputs):
    return None
