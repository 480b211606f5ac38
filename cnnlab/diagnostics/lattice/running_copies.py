"""A program on many copies of an image at once, and what they show of every value."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnnlab.diagnostics.fields import fields_of
from cnnlab.diagnostics.lattice.arithmetic import compute
from cnnlab.diagnostics.lattice.comparing import Findings, Place, compared, places_of
from cnnlab.diagnostics.lattice.compiling import quickly_compiled
from cnnlab.diagnostics.lattice.copies import Copies, copies, is_float
from cnnlab.diagnostics.operation import Operation, Program, Value
from cnnlab.diagnostics.running import run

# Entries of a program's largest value over all copies that are computed at once.
_ENTRIES = 2**22


class Watched(NamedTuple):
    """A value whose copies are compared: its name, and where the image's axes are."""

    name: str
    value: Value
    places: tuple[Place, Place]


class ReLU(NamedTuple):
    """A place where a map is cut off by a number: how much of it is above that."""

    name: str
    share: float


class Machine(NamedTuple):
    """A program compiled for copies of its image.

    Attributes:
        run: from weights, the image, another image and shifts `[count, 2]` to the
            findings of `watched` for each shift and the shares of `relus`.
        count: how many shifts are run at once.
        watched: the values that are compared, the program's outputs last.
        outputs: how many of them are outputs.
        entries: of those, in all.
        narrowest: the narrowest float that something is computed in.
        relus: their names, once the program has run.
    """

    run: Callable
    count: int
    watched: list[Watched]
    outputs: int
    entries: int
    narrowest: np.dtype
    relus: list[str]


def machine(
    program: Program, image: int, spatial: tuple[int, int], per_layer: bool
) -> Machine:
    """`program` for copies of its input number `image`."""
    of_image = program.inputs[image]
    fields = fields_of(program, image, spatial)
    on_image = {value for value, seen in fields.items() if seen is not None}
    watched = []
    if per_layer:
        for operation in program.operations:
            for value in operation.outputs:
                if value in on_image and is_float(value.dtype):
                    watched.append((_name(operation), value))
    watched += [("output", value) for value in program.outputs if value in on_image]
    outputs = sum(name == "output" for name, _ in watched)
    watched = [
        Watched(
            name,
            value,
            places_of(value, fields.get(value), of_image, spatial),
        )
        for name, value in watched
    ]
    largest = max(value.size for value in on_image)
    places = of_image.shape[spatial[0]] * of_image.shape[spatial[1]]
    most = max(1, min(places, _ENTRIES // largest))
    # Parts of one size, which is compiled once.
    count = -(-places // -(-places // most))
    batch = min(spatial)
    relus: list[str] = []

    @quickly_compiled
    def on_copies(arrays, first, other, shifts):
        known: dict[Value, Any] = {}
        shares = []
        relus.clear()

        def rule(operation, inputs):
            if _is_relu(operation, inputs):
                relus.append(_name(operation))
                shares.append(_share_above(*inputs))
            outputs = compute(operation, inputs)
            if outputs is not None:
                known.update(zip(operation.outputs, outputs, strict=True))
            return outputs

        moved = jax.vmap(lambda shift: jnp.roll(first, shift, spatial))(shifts)
        both = jnp.concatenate([first[None], other[None], moved])
        inputs = list(arrays)
        inputs.insert(image, copies(both))
        known[of_image] = inputs[image]
        results = run(program, inputs, rule)
        known.update(zip(program.outputs, results, strict=True))
        none = jnp.zeros((2, 2), shifts.dtype)
        every = jnp.concatenate([none, shifts])
        found = [
            compared(known[one.value], one.places, batch, every) for one in watched
        ]
        return found, shares

    floats = [np.dtype(value.dtype) for value in on_image if is_float(value.dtype)]
    return Machine(
        on_copies,
        count,
        watched,
        outputs,
        entries=sum(one.value.size for one in watched[len(watched) - outputs :]),
        narrowest=min(floats, key=lambda dtype: dtype.itemsize),
        relus=relus,
    )


def findings(
    machine: Machine,
    arrays: Sequence[Any],
    images: Sequence[np.ndarray],
    shape: tuple[int, int],
) -> tuple[list[Findings], list[ReLU]]:
    """What is found under every shift of a torus of `shape`, `[shape]` each."""
    shifts = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), -1)
    parts = -(-len(shifts) // machine.count)
    padded = np.resize(shifts, (parts * machine.count, 2)).astype(np.int32)
    found = []
    for part in np.split(padded, parts):
        result, shares = machine.run(arrays, *images, part)
        found.append(jax.tree.map(np.asarray, result))

    def joined(*results):
        moved = np.concatenate([one[2:] for one in results])
        return moved[: len(shifts)].reshape(shape)

    each = [
        Findings(*map(joined, *(one[:3] for one in of_one)), *of_one[0][3:])
        for of_one in zip(*found, strict=True)
    ]
    relus = [
        ReLU(name, float(share))
        for name, share in zip(machine.relus, shares, strict=True)
    ]
    return each, relus


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
