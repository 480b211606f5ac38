"""The rows of a cost table: operations, with what follows entry by entry folded in."""

import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from cnnlab.diagnostics.elementwise import ELEMENTWISE
from cnnlab.diagnostics.fields import Fields
from cnnlab.diagnostics.multiply_accumulates import multiply_accumulates, total
from cnnlab.diagnostics.operation import Program, Step, Value
from cnnlab.diagnostics.receptive_field import Field
from cnnlab.diagnostics.row_values import SILENT, row_as_json
from cnnlab.diagnostics.windows_of import fractional_windows


@dataclasses.dataclass(frozen=True)
class Row:
    """One operation, with what follows it entry by entry.

    Attributes:
        path: the Flax modules it is called in.
        name: of the operation, then those of what follows.
        times: how often it runs; `macs` is for all of them.
        counted: False in a loop of unknown length, of which one trip is counted, and
            for what runs a program that cannot be read, of which nothing is.
        entries: how many lie along each spatial axis of the image; None where no axis
            does.
        receptive_field: how many pixels an entry sees along each spatial axis; infinite
            where that is all of them, however many; None where it is unknown.
        stride, phase: entry i is centred on pixel phase + stride * i. None where no
            axis lies along the image's, or it is unknown; no phase where all is seen.
        padding_share: of the entries, that padding reaches; None where it is unknown.
        fractional: where windows end short of the map, the arithmetic of that axis.
    """

    path: tuple[str, ...]
    name: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    times: int
    counted: bool
    entries: tuple[int | None, ...]
    receptive_field: tuple[int | float | None, ...]
    stride: tuple[Fraction | int | None, ...]
    phase: tuple[Fraction | int | None, ...]
    padding_share: float | None
    fractional: tuple[str, ...]

    @property
    def is_map(self) -> bool:
        """Whether several entries along each axis each see a bounded part."""
        return all(
            entries is not None and entries > 1 and phase is not None
            for entries, phase in zip(self.entries, self.phase, strict=True)
        )

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return row_as_json(self)


def rows_of(
    program: Program,
    seen: Mapping[Value, Fields],
    made_of: Mapping[Value, frozenset[int]],
) -> tuple[Row, ...]:
    """The rows of what depends on the image, and of products that do not.

    Args:
        seen: the fields of every value.
        made_of: the parameters in every value that has not met the image, as positions
            among the program's inputs.
    """
    groups: list[_Group] = []
    met: set[int] = set()
    for step in program.steps(total):
        operation = step.operation
        on_image = any(seen.get(value) is not None for value in operation.outputs)
        macs = step.times * multiply_accumulates(operation)
        if not on_image and not macs:
            continue
        new = set()
        if on_image:
            new = set().union(*(made_of.get(v, ()) for v in operation.inputs)) - met
            met |= new
        parameters = sum(math.prod(program.inputs[index].shape) for index in new)
        read = {value for value in operation.inputs if seen.get(value) is not None}
        last = groups[-1] if groups else None
        if last is not None and last.goes_on_in(step, read, parameters):
            last.add(step, parameters)
        elif operation.name not in SILENT or parameters:
            groups.append(_Group(step, parameters, macs))
    return tuple(group.row(seen) for group in groups)


class _Group:
    """Operations that make one row."""

    def __init__(self, step: Step, parameters: int, macs: int):
        self.first, self.last = step, step.operation
        self.parameters, self.macs = parameters, macs
        self.names = [_name(step.operation)]
        self.made = set(step.operation.outputs)

    def goes_on_in(self, step: Step, read: set[Value], parameters: int) -> bool:
        """Whether a step does no more than treat this group's entries alone.

        In the module of the group, or, without parameters, in one around it.
        """
        operation, own = step.operation, self.first.operation.path
        silent = operation.name in SILENT
        around = own if parameters else own[: len(operation.path)]
        return (
            not operation.operator
            and (silent or operation.name in ELEMENTWISE)
            and operation.path == around
            and step.times == self.first.times
            and read <= self.made
            and (silent or operation.outputs[0].size == self.last.outputs[0].size)
        )

    def add(self, step: Step, parameters: int) -> None:
        operation = step.operation
        self.made.update(operation.outputs)
        self.parameters += parameters
        if operation.name in SILENT:
            return
        self.last = operation
        # A parameter that is added or multiplied is part of the layer.
        if not parameters and _name(operation) not in self.names:
            self.names.append(_name(operation))

    def row(self, seen: Mapping[Value, Fields]) -> Row:
        output = next(
            (value for value in self.last.outputs if seen.get(value) is not None),
            self.last.outputs[0],
        )
        fields = seen.get(output) or ()
        first = self.first.operation
        sources = (seen.get(value) for value in first.inputs)
        axes = {
            field.axis
            for source in sources
            for field in source or ()
            if field is not None
        }
        return Row(
            path=first.path,
            name=", ".join(self.names),
            output_shape=output.shape,
            parameters=self.parameters,
            macs=self.macs,
            times=self.first.times,
            counted=self.first.counted,
            entries=tuple(_along(field) and len(field.clean) for field in fields),
            receptive_field=tuple(field and field.extent for field in fields),
            stride=tuple(_along(field) and field.stride for field in fields),
            phase=tuple(_along(field) and field.center for field in fields),
            padding_share=_padding_share(fields),
            fractional=fractional_windows(first, axes),
        )


def _name(operation) -> str:
    return operation.group or operation.name


def _along(field: Field | None) -> Field | None:
    """The field, if entries of the value lie along it."""
    return field if field is not None and field.axis is not None else None


def _padding_share(fields: Fields) -> float | None:
    if fields is None or None in fields:
        return None
    return 1 - math.prod(float(np.mean(field.clean)) for field in fields)
