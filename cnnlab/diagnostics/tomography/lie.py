"""Lie derivatives of every operation of a program, in one run of it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cnnlab.diagnostics.operation import Operation, Value
from cnnlab.diagnostics.over_images import Measure, OverImages, ratio, sum_per_image
from cnnlab.diagnostics.places import Place
from cnnlab.diagnostics.running import run
from cnnlab.diagnostics.tomography.generators import Motion, moved

# In units of the dtype's precision, relative to the map: a slope below is none. A slope
# is a sum over the map's side with weights of up to pi.
_ROUNDING = 64


class Site(NamedTuple):
    """One output of an operation, and its place; None where it is unknown."""

    operation: Operation
    output: int
    place: Place | None

    @property
    def name(self) -> str:
        """The operation's, with the output's position where it has several."""
        name = self.operation.group or self.operation.name
        several = len(self.operation.outputs) > 1
        return f"{name}/{self.output}" if several else name


class _Moving(NamedTuple):
    """An array that depends on the image, and its change under each motion."""

    array: jax.Array
    changes: jax.Array


def measure_of(
    over: OverImages,
    sites: Sequence[Site],
    transformations: Mapping[str, Sequence[Motion]],
    centre: Sequence[float],
) -> Measure:
    """The errors of all sites, under (transformation, site, "cumulative" or "own")."""
    motions = list(dict.fromkeys(sum(map(tuple, transformations.values()), ())))
    parts = {
        name: [motions.index(motion) for motion in made_of]
        for name, made_of in transformations.items()
    }
    numbers = {(site.operation, site.output): index for index, site in enumerate(sites)}

    def exact(array, place):
        """[motions, ...]: how a map changes that moves as it should."""
        wide = array.astype(jnp.promote_types(array.dtype, jnp.float32))
        changes = [moved(wide, place, motion, centre) for motion in motions]
        return jnp.stack(changes).astype(array.dtype)

    def measure(leaves: Sequence[Any]) -> dict:
        found = {}

        def rule(operation: Operation, inputs):
            if not any(value in over.places for value in operation.inputs):
                return None
            own = _own_changes(operation, inputs, over.places, exact)
            asked = [
                i for i in range(len(operation.outputs)) if (operation, i) in numbers
            ]
            views = {"own": own} if asked and own is not None else {}
            views["cumulative"] = [
                x.changes if isinstance(x, _Moving) else None for x in inputs
            ]
            outputs, changes = _pushed(operation, inputs, views, len(motions))
            for i in asked:
                place = over.places[operation.outputs[i]]
                if place is None:
                    continue
                wanted = exact(outputs[i], place)
                for view, change in changes.items():
                    errors = _errors(outputs[i], change[i], wanted, place)
                    for name, made_of in parts.items():
                        key = (name, numbers[operation, i], view)
                        found[key] = errors(jnp.array(made_of))
            return [
                _Moving(array, change) if change is not None else array
                for array, change in zip(outputs, changes["cumulative"], strict=True)
            ]

        images = jnp.asarray(leaves[over.position])
        place = over.places[over.program.inputs[over.position]]
        arrays = list(leaves)
        arrays[over.position] = _Moving(images, exact(images, place))
        run(over.program, arrays, rule)
        return found

    return measure


def _own_changes(operation, inputs, places, exact) -> list[jax.Array | None] | None:
    """What the inputs change by that move as they should.

    None where the place of one is unknown, or none moves.
    """
    moving = [
        (value, x)
        for value, x in zip(operation.inputs, inputs, strict=True)
        if isinstance(x, _Moving)
    ]
    if not moving or any(places[value] is None for value, _ in moving):
        return None
    return [
        exact(x.array, places[value]) if isinstance(x, _Moving) else None
        for value, x in zip(operation.inputs, inputs, strict=True)
    ]


def _pushed(
    operation: Operation,
    inputs: Sequence[Any],
    views: Mapping[str, Sequence[jax.Array | None]],
    motions: int,
):
    """The outputs, and under each view what each changes by; None for no float."""
    plain = [x.array if isinstance(x, _Moving) else x for x in inputs]
    moving = [i for i, x in enumerate(inputs) if isinstance(x, _Moving)]
    floats = [i for i, value in enumerate(operation.outputs) if _is_float(value)]

    def apply(*arrays):
        given = list(plain)
        for i, array in zip(moving, arrays, strict=True):
            given[i] = array
        outputs = operation.evaluate(*given)
        return [outputs[i] for i in floats], list(outputs)

    if not moving or not floats:
        outputs = apply(*(plain[i] for i in moving))[1]
        still = [
            jnp.zeros((motions, *array.shape), array.dtype) if i in floats else None
            for i, array in enumerate(outputs)
        ]
        return outputs, {"cumulative": still}
    arrays = [plain[i] for i in moving]
    tangents = [
        jnp.concatenate([changes[i] for changes in views.values()]) for i in moving
    ]

    def along(changes):
        _, pushed, outputs = jax.jvp(apply, arrays, changes, has_aux=True)
        return pushed, outputs

    pushed, outputs = jax.vmap(along, out_axes=(0, None))(tangents)
    changes = {}
    for k, view in enumerate(views):
        some = slice(k * motions, (k + 1) * motions)
        by_output = dict(zip(floats, (change[some] for change in pushed), strict=True))
        changes[view] = [by_output.get(i) for i in range(len(outputs))]
    return outputs, changes


def _errors(array, change, wanted, place: Place):
    """The error under the motions at some positions, of each image."""
    axis = place.batch + 1
    per_motion = jax.vmap(lambda x: sum_per_image(x, axis - 1))
    got = per_motion(change)
    size = sum_per_image(array, place.batch)
    if not place.is_map:
        return lambda some: ratio(got[some].sum(0), size)
    wide = jnp.promote_types(array.dtype, jnp.float32)
    lost = per_motion(change.astype(wide) - wanted.astype(wide))
    whole = got + per_motion(wanted)
    rounding = size * (_ROUNDING * jnp.finfo(array.dtype).eps) ** 2

    def error(some):
        moves = whole[some].sum(0)
        return jnp.where(moves > rounding, ratio(lost[some].sum(0), moves), 0)

    return error


def _is_float(value: Value) -> bool:
    return jnp.issubdtype(value.dtype, jnp.floating)
