"""What tomography found, as rows."""

import dataclasses
from typing import Any

from cnnlab.diagnostics import per_image
from cnnlab.diagnostics.per_image import PerImage
from cnnlab.diagnostics.places import Place
from cnnlab.statistics.intervals import Interval
from cnnlab.text_table import aligned, written


@dataclasses.dataclass(frozen=True)
class Row:
    """One operation's errors under one transformation.

    Attributes:
        path: the Flax modules that it is called in.
        operation: its name; after a "/", the position of one of several outputs.
        shape: of its output for one image.
        place: of its output; None where it is unknown, and then there are no errors.
        cumulative: of each image, from the image up to here.
        own: of each image, the operation's alone; None where what it is given has no
            known place.
    """

    transformation: str
    path: tuple[str, ...]
    operation: str
    shape: tuple[int, ...]
    place: Place | None
    cumulative: PerImage | None
    own: PerImage | None

    @property
    def kind(self) -> str:
        """What the errors measure: "map", "invariant" or "unknown"."""
        if self.place is None:
            return "unknown"
        return "map" if self.place.is_map else "invariant"

    def interval(self, view: str, confidence: float = 0.95) -> Interval | None:
        """Student's interval of the mean over images; None without finite errors.

        Args:
            view: "cumulative" or "own".
        """
        return per_image.interval_of(getattr(self, view), confidence)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values; what is no number is null."""
        return {
            "transformation": self.transformation,
            "path": "/".join(self.path),
            "operation": self.operation,
            "shape": list(self.shape),
            "kind": self.kind,
            **(Place(0) if self.place is None else self.place).as_json(),
            **{
                view: per_image.as_json("errors", getattr(self, view))
                for view in ("cumulative", "own")
            },
        }


@dataclasses.dataclass(frozen=True)
class Tomography:
    """The rows of all transformations, each in the order in which the operations run.

    Attributes:
        spec: what gives these numbers again, by `measuring.measure`.
    """

    spec: str
    rows: tuple[Row, ...]

    def of(self, transformation: str) -> tuple[Row, ...]:
        """The rows of one transformation."""
        return tuple(row for row in self.rows if row.transformation == transformation)

    def layers(self, transformation: str) -> tuple[Row, ...]:
        """The last row of each module; its `cumulative` is the layer's."""
        rows = self.of(transformation)
        last = {row.path: row for row in rows}
        return tuple(row for row in rows if row is last[row.path])

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {"spec": self.spec, "rows": [row.as_json() for row in self.rows]}

    def table(self, transformation: str) -> str:
        """A line for each row: where, what, its stride, and both errors."""
        lines = [("where", "operation", "kind", "stride", "cumulative", "own")]
        for row in self.of(transformation):
            stride = row.place.stride if row.kind == "map" else ()
            lines.append(
                (
                    "/".join(row.path),
                    row.operation,
                    row.kind,
                    "x".join(f"{float(side):g}" for side in stride),
                    written(row.interval("cumulative")),
                    written(row.interval("own")),
                )
            )
        return "\n".join(aligned(lines))

    def __str__(self) -> str:
        names = dict.fromkeys(row.transformation for row in self.rows)
        return "\n\n".join((self.spec, *(f"{n}\n{self.table(n)}" for n in names)))


@dataclasses.dataclass(frozen=True, eq=False)
class Invariance:
    """How fast what a function says changes under one transformation.

    Attributes:
        spec: what gives these numbers again, by `measuring.measure`.
        errors: of each image.
    """

    spec: str
    errors: PerImage

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """Student's interval of the mean over images; None without finite errors."""
        return per_image.interval_of(self.errors, confidence)
