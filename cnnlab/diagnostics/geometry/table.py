"""What `geometry.walk` finds, as a table: a row for every operation on the image."""

import dataclasses
from fractions import Fraction
from typing import Any

from cnnlab.diagnostics.row_values import row_as_json


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
        return row_as_json(self)


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
        return row_as_json(self)


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
