"""A program on many copies of an image at once, and what they show of every value."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int

from cnnlab.diagnostics.fields import fields_of
from cnnlab.diagnostics.lattice.comparing import Along, Findings, axes_of, compared
from cnnlab.diagnostics.lattice.copies import Copies, copies, is_float
from cnnlab.diagnostics.lattice.stepping import step
from cnnlab.diagnostics.operation import Operation, Program, Value
from cnnlab.diagnostics.running import run
from cnnlab.ops.quick_compilation import quickly_compiled

# Entries of a program's largest value over all copies that are computed at once.
_ENTRIES = 2**22
# Compiled comparisons that are kept.
_COMPARISONS = 1024


class Watched(NamedTuple):
    """A value whose copies are compared: its name, and where the image's axes are."""

    name: str
    value: Value
    axes: tuple[Along, Along]


class ReLU(NamedTuple):
    """A place where a map is cut off by a number: how much of it is above that."""

    name: str
    share: float


class Machine(NamedTuple):
    """A program that runs on copies of its image.

    Attributes:
        image: which of the program's inputs that is.
        spatial: its spatial axes.
        count: how many copies are computed at once, at most.
        watched: the values that are compared, the program's outputs last.
        outputs: how many of them are outputs.
        narrowest: the narrowest float that something on the image is computed in.
    """

    program: Program
    image: int
    spatial: tuple[int, int]
    count: int
    watched: list[Watched]
    outputs: int
    narrowest: np.dtype

    @property
    def entries(self) -> int:
        """Of all outputs."""
        ends = self.watched[len(self.watched) - self.outputs :]
        return sum(one.value.size for one in ends)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the torus that the image is."""
        shape = self.program.inputs[self.image].shape
        return tuple(shape[axis] for axis in self.spatial)


def machine(
    program: Program, image: int, spatial: tuple[int, int], per_layer: bool
) -> Machine:
    """`program` for copies of its input number `image`."""
    of_image = program.inputs[image]
    fields = fields_of(program, image, spatial)
    on_image = {value for value, seen in fields.items() if seen is not None}
    named = []
    if per_layer:
        for operation in program.operations:
            for value in operation.outputs:
                if value in on_image and is_float(value.dtype):
                    named.append((_name(operation), value))
    ends = [("output", value) for value in program.outputs if value in on_image]
    watched = [
        Watched(name, value, axes_of(value, fields.get(value), of_image, spatial))
        for name, value in [*named, *ends]
    ]
    largest = max(value.size for value in on_image)
    count = max(1, _ENTRIES // largest)
    floats = [np.dtype(value.dtype) for value in on_image if is_float(value.dtype)]
    narrowest = min(floats, key=lambda dtype: dtype.itemsize)
    return Machine(program, image, spatial, count, watched, len(ends), narrowest)


def findings(
    machine: Machine,
    arrays: Sequence[Any],
    images: Sequence[np.ndarray],
    shifts: Int[np.ndarray, "shifts two"],
) -> tuple[list[Findings], list[ReLU]]:
    """What is found of each watched value under these shifts, `[height, width]` each.

    Args:
        arrays: of the program's inputs but for the image.
        images: the image, and another one.
    """
    # Parts of one size, for which steps are compiled once.
    parts = -(-len(shifts) // machine.count)
    size = -(-len(shifts) // parts)
    padded = np.resize(shifts, (parts * size, 2)).astype(np.int32)
    found = []
    for part in np.split(padded, parts):
        result, relus = _on_copies(machine, arrays, images, part)
        found.append(jax.tree.map(np.asarray, result))
    places = tuple(shifts.T)

    def joined(*results):
        grid = np.zeros(machine.shape, bool)
        grid[places] = np.concatenate([one[2:] for one in results])[: len(shifts)]
        return grid

    each = [
        Findings(*map(joined, *(one[:3] for one in of_one)), *of_one[0][3:])
        for of_one in zip(*found, strict=True)
    ]
    return each, [relu._replace(share=float(relu.share)) for relu in relus]


def _on_copies(machine, arrays, images, shifts) -> tuple[list[Findings], list[ReLU]]:
    program, spatial = machine.program, machine.spatial
    watched = {one.value: one.axes for one in machine.watched}
    batch = min(spatial)
    shifts = np.concatenate([np.zeros((2, 2), shifts.dtype), shifts])
    found: dict[Value, Findings] = {}
    relus: list[ReLU] = []

    def look(values, outputs):
        for value, output in zip(values, outputs, strict=True):
            if value in watched:
                found[value] = _comparison(watched[value], batch)(output, shifts)

    def rule(operation, inputs):
        if _is_relu(operation, inputs):
            relus.append(ReLU(_name(operation), _sharing()(*inputs)))
        outputs = step(operation, inputs)
        look(operation.outputs, outputs)
        return outputs

    inputs = list(arrays)
    inputs.insert(machine.image, _rolled(spatial)(*images, shifts))
    look([program.inputs[machine.image]], [inputs[machine.image]])
    run(program, inputs, rule)
    return [found[one.value] for one in machine.watched], relus


@functools.lru_cache
def _rolled(spatial: tuple[int, int]) -> Callable:
    def rolled(first, other, shifts):
        moved = jax.vmap(lambda shift: jnp.roll(first, shift, spatial))(shifts[2:])
        return copies(jnp.concatenate([first[None], other[None], moved]))

    return quickly_compiled(rolled)


@functools.lru_cache
def _sharing() -> Callable:
    return quickly_compiled(_share_above)


@functools.lru_cache(_COMPARISONS)
def _comparison(axes: tuple[Along, Along], batch: int) -> Callable:
    return quickly_compiled(lambda value, shifts: compared(value, axes, batch, shifts))


def _name(operation: Operation) -> str:
    return "/".join((*operation.path, operation.group or operation.name))


def _is_relu(operation: Operation, inputs: Sequence[Any]) -> bool:
    if operation.operator or operation.name != "max":
        return False
    return sum(isinstance(value, Copies) for value in inputs) == 1


def _share_above(*pair: Any) -> Array:
    """Of the image's value how much is above the number; a half, if that is none."""
    (value,) = (one.arrays[0] for one in pair if isinstance(one, Copies))
    (number,) = (one for one in pair if not isinstance(one, Copies))
    share = jnp.mean(value > number)
    return jnp.where(jnp.all(jnp.isfinite(number)), share, 0.5)
