"""The rows of a walk: operations, with what follows entry by entry folded in."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from cnnlab.diagnostics.elementwise import ELEMENTWISE
from cnnlab.diagnostics.fields import Fields
from cnnlab.diagnostics.geometry.facts import Fact
from cnnlab.diagnostics.geometry.table import Break, Row, Walk
from cnnlab.diagnostics.geometry.track import Thinning, Track
from cnnlab.diagnostics.geometry.walking import Loss, every_operation
from cnnlab.diagnostics.operation import Operation, Program, Value
from cnnlab.diagnostics.receptive_field import Field, plain
from cnnlab.diagnostics.row_values import SILENT


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
            Break(
                loss.operation.path,
                _name(loss.operation),
                loss.before,
                loss.after,
                loss.why,
            )
            for loss in losses
        ),
    )


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
        stays = not track.moves and not track.is_lost
        if stays and isinstance(track.why, Thinning):
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
            and operation.name in ELEMENTWISE | SILENT
            and operation.path == path
            and read <= self.made
            and view.claims(output) == view.claims(self.output)
        )

    def add(self, operation: Operation, output: Value) -> None:
        self.made.update(operation.outputs)
        self.output = output
        name = _name(operation)
        if operation.name not in SILENT and name not in self.names:
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
