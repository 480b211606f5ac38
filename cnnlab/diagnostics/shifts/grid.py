"""What is predicted at every displacement of a grid: maps, and how far is too far."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from cnnlab.diagnostics.predictions import Images, Labels, Predict
from cnnlab.diagnostics.shifts.answers import BATCH_SIZE
from cnnlab.diagnostics.shifts.consistency import (
    Consistency,
    compared,
    looks_and_home,
    prepared,
)
from cnnlab.diagnostics.shifts.parsing import parse_shift
from cnnlab.diagnostics.shifts.protocol import Shift
from cnnlab.diagnostics.specs import spec_of
from cnnlab.ops.arguments import check_choice

NEAR = "shift(circular, -3..3, all pairs, per image)"
NORMS = {
    "max": lambda dy, dx: np.maximum(np.abs(dy), np.abs(dx)),
    "sum": lambda dy, dx: np.abs(dy) + np.abs(dx),
    "euclidean": np.hypot,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """The class of every image at every displacement.

    Attributes:
        protocol: the shifts.
        home: the displacement that counts as none.
        classes: in two bytes each, up to 32,768 classes.
        unshifted: the classes at home.
        labels: None where none were given.
        probabilities: of the class that is predicted; None where not asked for.
    """

    protocol: Shift
    home: tuple[int, int]
    classes: Int[np.ndarray, "rows columns examples"]
    unshifted: Int[np.ndarray, " examples"]
    labels: Labels | None
    probabilities: Float[np.ndarray, "rows columns examples"] | None

    @property
    def spec(self) -> str:
        """What gives these maps again, by `measuring.measure`."""
        more = {} if self.probabilities is None else {"probabilities": True}
        return spec_of("grid", spec=str(self.protocol), **more)

    @property
    def agreement(self) -> Float[np.ndarray, "rows columns"]:
        """At each displacement, the share of images of the same class as unshifted."""
        return np.mean(self.classes == self.unshifted, axis=-1)

    @property
    def accuracy(self) -> Float[np.ndarray, "rows columns"]:
        """At each displacement, the share of images that are right.

        Raises:
            ValueError: there are no labels.
        """
        if self.labels is None:
            raise ValueError(f"{self.spec} was measured without labels")
        return np.mean(self.classes == self.labels, axis=-1)

    @property
    def diagonal_changes(self) -> Float[np.ndarray, "rows_less_1 columns_less_1"]:
        """From each displacement, the share of images that a diagonal step changes.

        The step leads to the next row and column of the grid.
        """
        return np.mean(self.classes[1:, 1:] != self.classes[:-1, :-1], axis=-1)

    @property
    def consistency(self) -> Consistency:
        """The agreement of pairs, image by image."""
        looks = self.classes.reshape(-1, len(self.unshifted))
        return compared(self.protocol, looks, self.unshifted, self.labels, self.home)

    def flip_radius(self, norm: str = "max") -> Float[np.ndarray, " examples"]:
        """For each image, the smallest displacement whose class is not the unshifted.

        Infinity where none in the grid changes it. Displacements count from home.

        Args:
            norm: of (dy, dx): "max", the larger; "sum", of both; or "euclidean".

        Raises:
            ValueError: an unknown norm.
        """
        check_choice("norm", norm, NORMS)
        lengths = NORMS[norm](*(self.protocol.grid() - self.home).T).astype(float)
        looks = self.classes.reshape(-1, len(self.unshifted))
        radius = np.full(len(self.unshifted), np.inf)
        for length, classes in zip(lengths, looks, strict=True):
            flips = (classes != self.unshifted) & (length < radius)
            radius[flips] = length
        return radius


def grid(
    predict: Predict,
    images: Images,
    spec: str | Shift = NEAR,
    labels: Labels | None = None,
    *,
    probabilities: bool = False,
    batch_size: int = BATCH_SIZE,
) -> Grid:
    """The class of every image at every displacement of `spec`, nothing drawn.

    Args:
        predict, images, labels, batch_size: as `consistency` has them.
        spec: a `Shift` over its whole grid, or its spec.
        probabilities: whether those of the predicted classes are kept.

    Raises:
        ValueError: as `consistency`, or the spec draws its shifts.
    """
    protocol = parse_shift(spec)
    if protocol.draws:
        raise ValueError(f"{protocol} draws its shifts; a grid holds all pairs")
    asked, home = prepared(predict, images, labels, protocol, batch_size)
    looks, unshifted = looks_and_home(
        predict,
        asked,
        protocol,
        protocol.grid()[:, None],
        home,
        batch_size=batch_size,
        probabilities=probabilities,
    )
    rows, columns = (len(r.values()) for r in (protocol.rows, protocol.columns))
    classes, top = (
        a if a is None else a.reshape(rows, columns, len(asked.images)) for a in looks
    )
    return Grid(protocol, home, classes, unshifted, asked.labels, top)
