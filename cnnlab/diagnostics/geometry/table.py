"""What `geometry.walk` finds, as a table: a row for every operation on the image."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from cnnlab.diagnostics.elementwise import ELEMENTWISE
from cnnlab.diagnostics.fields import Fields
from cnnlab.diagnostics.geometry.facts import Fact
from cnnlab.diagnostics.geometry.tracks import Track
from cnnlab.diagnostics.geometry.walking import Loss, every_operation
from cnnlab.diagnostics.operation import Operation, Program, Value
from cnnlab.diagnostics.receptive_field import Field, plain

# They move or convert entries, and are not worth a row.
_SILENT = {
    "broadcast_in_dim",
    "convert_element_type",
    "copy",
    "reshape",
    "squeeze",
    "transpose",
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One operation, with what follows it entry by entry.

    Along a spatial axis of n pixels, a number m stands for the shifts by multiples of
    m: 1 for all of them, n for the identity alone. Those of several axes hold together.

    Attributes:
        path: the Flax modules it is called in.
        name: of the operation, then those of what follows.
        entries, receptive_field, stride, phase: as in `cost_rows.Row`.
        margin: (low, high) entries along each spatial axis that depend on padding, or
            on nothing but it; None where no axis does, or it is unknown.
        axes: the array's axes that are rolled with the image, by the shift over the
            stride; None along which the value stays the same.
        shifts: for which shifts they are, and it does.
        shifts_up_to_roll: for which, where some are rolled by whole entries of which
            the image decides how many.
        why: what kept `shifts_up_to_roll` from being all; empty where nothing did.
    """

    path: tuple[str, ...]
    name: str
    output_shape: tuple[int, ...]
    entries: tuple[int | None, ...]
    receptive_field: tuple[int | float | None, ...]
    stride: tuple[Fraction | int | None, ...]
    phase: tuple[Fraction | int | None, ...]
    margin: tuple[tuple[int, int] | None, ...]
    axes: tuple[int | None, ...]
    shifts: tuple[int, ...]
    shifts_up_to_roll: tuple[int, ...]
    why: str

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return _as_json(self)


@dataclasses.dataclass(frozen=True)
class Break:
    """An operation that loses shifts: along each axis, from one multiple to another.

    Attributes:
        before, after: as `Row.shifts_up_to_roll`; what does not go around yet, but may
            be cut to what does, counts as if it did.
    """

    path: tuple[str, ...]
    name: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    why: str

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return _as_json(self)


@dataclasses.dataclass(frozen=True)
class Walk:
    """What is known of a function under shifts of its image, without computing it.

    Attributes:
        image: pixels along each spatial axis.
        rows: its operations in order.
        outputs: a row for each leaf of what it returns.
        breaks: the operations that lose shifts, in order.
    """

    image: tuple[int, ...]
    rows: tuple[Row, ...]
    outputs: tuple[Row, ...]
    breaks: tuple[Break, ...]

    @property
    def first_break(self) -> Break | None:
        """The first operation that loses shifts."""
        return self.breaks[0] if self.breaks else None

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "image": list(self.image),
            "rows": [row.as_json() for row in self.rows],
            "outputs": [row.as_json() for row in self.outputs],
            "breaks": [lost.as_json() for lost in self.breaks],
        }


def walk_of(
    program: Program,
    image: Sequence[int],
    known: Mapping[Value, Fact],
    losses: Sequence[Loss],
    seen: Mapping[Value, Fields],
    names: Sequence[str],
) -> Walk:
    """The table of these facts and fields.

    Args:
        names: those of the program's outputs.
    """
    view = _View(tuple(image), known, seen)
    return Walk(
        tuple(image),
        tuple(_rows(program, view)),
        tuple(
            view.row(value, (), name)
            for value, name in zip(program.outputs, names, strict=True)
        ),
        tuple(
            Break(loss.operation.path, _name(loss.operation), *_sides(loss), loss.why)
            for loss in losses
        ),
    )


def _sides(loss: Loss):
    return loss.before, loss.after


class _View:
    """The facts and the fields of values, as rows show them."""

    def __init__(self, image, known, seen):
        self.image, self.known, self.seen = image, known, seen

    def is_on_image(self, value: Value) -> bool:
        return self.seen.get(value) is not None

    def claims(self, value: Value) -> tuple[tuple, tuple, tuple]:
        """The axes that are rolled, by which shifts, and by which up to a roll."""
        fact = self.known.get(value)
        if fact is None:
            every = (1,) * len(self.image)
            return (None,) * len(every), every, every
        exact, best = (
            tuple(track.claimed(value.shape) for track in level)
            for level in (fact.exact, fact.best)
        )
        return tuple(track.axis for track in fact.best), exact, best

    def why(self, value: Value) -> str:
        if (fact := self.known.get(value)) is None:
            return ""
        found = (self._why(track, value.shape) for track in fact.best)
        return "; ".join(dict.fromkeys(filter(None, found)))

    def _why(self, track: Track, shape) -> str:
        if track.claimed(shape) == 1:
            return ""
        if track.moves and not track.goes_around(shape):
            return track.cut.why if track.cut else ""
        if not track.moves and not track.is_lost and "keeps" in track.why:
            return f"{track.why}; means that make up for it are not looked for"
        return track.why

    def row(self, value: Value, path: tuple[str, ...], name: str) -> Row:
        fields = self.seen.get(value) or (None,) * len(self.image)
        axes, exact, best = self.claims(value)
        return Row(
            path=path,
            name=name,
            output_shape=value.shape,
            entries=tuple(_along(field) and len(field.clean) for field in fields),
            receptive_field=tuple(field and field.extent for field in fields),
            stride=self._strides(value, fields),
            phase=tuple(_along(field) and field.center for field in fields),
            margin=tuple(_along(field) and _margin(field.clean) for field in fields),
            axes=axes,
            shifts=exact,
            shifts_up_to_roll=best,
            why=self.why(value),
        )

    def _strides(self, value: Value, fields) -> tuple[Fraction | int | None, ...]:
        fact = self.known.get(value)
        tracks = fact.exact if fact is not None else (None,) * len(self.image)
        return tuple(
            plain(track.stride)
            if track is not None and track.moves
            else _along(field) and field.stride
            for track, field in zip(tracks, fields, strict=True)
        )


def _rows(program: Program, view: _View) -> Iterator[Row]:
    group: _Group | None = None
    for operation in every_operation(program):
        output = next(filter(view.is_on_image, operation.outputs), None)
        if output is None or (operation.bodies and not operation.operator):
            continue
        if group is not None and group.goes_on_in(operation, output, view):
            group.add(operation, output)
            continue
        if group is not None:
            yield group.row(view)
        group = _Group(operation, output)
    if group is not None:
        yield group.row(view)


class _Group:
    """Operations that make one row."""

    def __init__(self, operation: Operation, output: Value):
        self.first, self.output = operation, output
        self.names = [_name(operation)]
        self.made = set(operation.outputs)

    def goes_on_in(self, operation: Operation, output: Value, view: _View) -> bool:
        """Whether an operation treats entries alone, and shifts alike."""
        read = set(filter(view.is_on_image, operation.inputs))
        path = self.first.path[: len(operation.path)]
        return (
            not operation.operator
            and operation.name in ELEMENTWISE | _SILENT
            and operation.path == path
            and read <= self.made
            and view.claims(output) == view.claims(self.output)
        )

    def add(self, operation: Operation, output: Value) -> None:
        self.made.update(operation.outputs)
        self.output = output
        name = _name(operation)
        if operation.name not in _SILENT and name not in self.names:
            self.names.append(name)

    def row(self, view: _View) -> Row:
        return view.row(self.output, self.first.path, ", ".join(self.names))


def _name(operation: Operation) -> str:
    return operation.group or operation.name


def _along(field: Field | None) -> Field | None:
    """The field, if entries of the value lie along it."""
    return field if field is not None and field.axis is not None else None


def _margin(clean: Sequence[bool]) -> tuple[int, int]:
    """Entries before the first that padding does not reach, and after the last."""
    places = np.flatnonzero(clean)
    if not places.size:
        return len(clean), len(clean)
    return int(places[0]), len(clean) - 1 - int(places[-1])


def _as_json(row) -> dict[str, Any]:
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return {name: _json(value) for name, value in values.items()} | {
        "path": "/".join(row.path)
    }


def _json(value):
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    return "all" if value == math.inf else value
