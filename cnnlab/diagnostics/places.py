"""Where the entries of a program's values lie on the images they were made of."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from cnnlab.diagnostics.field_rules import Fields
from cnnlab.diagnostics.fields import fields_of
from cnnlab.diagnostics.operation import Program, Value
from cnnlab.diagnostics.receptive_field import Field, Number


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a value's entries lie.

    Attributes:
        batch: the axis along which one image follows another.
        axes: those that run down and across the images; None where no entry has a place
            any more, as after a global pool or flattened.
        stride, phase: along each, entry i lies at pixel phase + stride * i. Where every
            entry sees the whole image, the entries lie about its middle.
    """

    batch: int
    axes: tuple[int, int] | None = None
    stride: tuple[Number, Number] | None = None
    phase: tuple[Number, Number] | None = None

    @property
    def is_map(self) -> bool:
        """Whether entries have places."""
        return self.axes is not None

    def as_json(self) -> dict[str, Any]:
        """Stride and phase as JSON values, null where no entry has a place."""
        numbers = {"stride": self.stride, "phase": self.phase}
        return {
            name: pair and [float(n) for n in pair] for name, pair in numbers.items()
        }


def places_of(program: Program, image: int) -> dict[Value, Place | None]:
    """The place of every value that depends on the images; None where it is unknown.

    Args:
        image: which of the program's inputs the images are, `[examples, height, width,
            channels]`, two examples or more.
    """
    shape = program.inputs[image].shape
    seen: Mapping[Value, Fields] = fields_of(program, image, (0, 1, 2))
    return {
        value: _place(value, fields, shape)
        for value, fields in seen.items()
        if fields is not None
    }


def _place(value: Value, fields, shape) -> Place | None:
    batch, *sides = fields
    if not jnp.issubdtype(value.dtype, jnp.floating) or None in fields:
        return None
    if batch.axis is None or batch.stride != 1 or len(batch.clean) != shape[0]:
        return None
    carried = [_has_places(field) for field in sides]
    if not any(carried):
        return Place(batch.axis)
    axes = tuple(field.axis for field in sides)
    if not all(carried) or len({batch.axis, *axes}) != 3:
        return None
    return Place(
        batch.axis,
        axes,
        tuple(field.stride for field in sides),
        tuple(
            _phase(field, size) for field, size in zip(sides, shape[1:3], strict=True)
        ),
    )


def _has_places(field: Field) -> bool:
    return field.axis is not None and field.stride != 0 and len(field.clean) > 1


def _phase(field: Field, size: int) -> Number:
    if field.center is not None:
        return field.center
    return (size - 1 - field.stride * (len(field.clean) - 1)) / 2
