"""The accuracy on images that are moved, shift by shift."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from cnnlab.diagnostics.predictions import Images, Labels, Predict
from cnnlab.diagnostics.shifts.answers import BATCH_SIZE, answers, ask_labelled
from cnnlab.diagnostics.shifts.motion import Motion
from cnnlab.diagnostics.shifts.parsing import protocols
from cnnlab.diagnostics.specs import spec_of
from cnnlab.ops.arguments import check_choice
from cnnlab.statistics.intervals import Interval, mean_interval


@dataclasses.dataclass(frozen=True, eq=False)
class Accuracy:
    """Which images are right at each shift.

    Attributes:
        spec: what gives these numbers again.
        shifts: (dy, dx), in the order that they were asked for.
    """

    spec: str
    shifts: tuple[tuple[float, float], ...]
    right: Bool[np.ndarray, "shifts examples"]

    @property
    def accuracy(self) -> Float[np.ndarray, " shifts"]:
        """The share of images that are right at each shift."""
        return self.right.mean(-1)

    @property
    def intervals(self) -> list[Interval]:
        """The same with Student's intervals at 95 % over images."""
        return [mean_interval(right) for right in self.right]


@dataclasses.dataclass(frozen=True)
class Shifts:
    """Single shifts, each by itself."""

    motion: Motion
    shifts: tuple[tuple[float, float], ...]

    def __str__(self) -> str:
        return spec_of("accuracy", motion=self.motion.name, shifts=self.shifts)

    def check(self, images: Images) -> None:
        """Refuses images that these shifts do not fit.

        Raises:
            ValueError: they do not.
        """
        rows, columns = zip(*self.shifts, strict=True)
        self.motion.check(*images.shape[1:3], rows, columns)

    def measure(
        self,
        predict: Predict,
        images: Images,
        labels: Labels | None = None,
        *,
        batch_size: int = BATCH_SIZE,
    ) -> Accuracy:
        """The images that `predict` gets right; arguments as `consistency`'s.

        Raises:
            ValueError: no labels or such as do not belong to the images, images that
                the shifts do not fit, or a predict that gives no logits or changes
                between calls.
        """
        asked = ask_labelled(self, predict, images, labels, batch_size=batch_size)
        moves = np.array(self.shifts)[:, None]
        found = answers(predict, asked, self.motion, moves, batch_size=batch_size)
        return Accuracy(str(self), self.shifts, found.classes == asked.labels)


@protocols.register
def accuracy(*, shifts: Sequence[tuple[float, float]], motion: str = "zero") -> Shifts:
    """The accuracy with every image moved by each of some shifts.

    Args:
        shifts: (dy, dx), one or more.
        motion: "zero", zeros shifted in; "circular"; or "fourier", circular and by
            parts of a pixel.

    Raises:
        ValueError: no shifts, one that is not two numbers, or an unknown motion.
    """
    try:
        pairs = tuple((_plain(dy), _plain(dx)) for dy, dx in shifts)
    except (TypeError, ValueError):
        raise ValueError(f"shifts must be pairs (dy, dx), got {shifts!r}") from None
    if not pairs:
        raise ValueError("shifts are none; give one (dy, dx) or more")
    check_choice("motion", motion, ("zero", "circular", "fourier"))
    return Shifts(Motion(motion), pairs)


def accuracy_under_shifts(
    predict: Predict,
    images: Images,
    labels: Labels,
    shifts: Sequence[tuple[float, float]],
    *,
    motion: str = "zero",
    batch_size: int = BATCH_SIZE,
) -> Accuracy:
    """The accuracy with every image moved by each (dy, dx); options as `accuracy`'s.

    Raises:
        ValueError: shifts or a motion that are none, and what `Shifts.measure` refuses.
    """
    protocol = accuracy(shifts=shifts, motion=motion)
    return protocol.measure(predict, images, labels, batch_size=batch_size)


def _plain(number) -> float:
    """A Python number, a whole one as an integer."""
    value = float(number)
    if not np.isfinite(value):
        raise ValueError
    return int(value) if value.is_integer() else value
