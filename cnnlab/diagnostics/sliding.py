"""Windows that slide along an axis: their places, and what they see."""

import dataclasses
from fractions import Fraction

import numpy as np

from cnnlab.diagnostics.receptive_field import Field, plain, plus


@dataclasses.dataclass(frozen=True)
class Window:
    """A window's path along one axis of a map of `size` entries.

    Entries lie `spread` apart, as in a transposed convolution; between them is nothing.
    """

    size: int
    extent: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1
    boundary: str = "zero"
    spread: int = 1

    @property
    def positions(self) -> Fraction:
        """How many places it has; not whole where its strides end short of the map."""
        covered = (self.extent - 1) * self.dilation + 1
        size = (self.size - 1) * self.spread + 1
        return Fraction(size + sum(self.padding) - covered, self.stride) + 1

    def arithmetic(self) -> str:
        """`positions`, as it is worked out by hand."""
        covered = (self.extent - 1) * self.dilation + 1
        size = (self.size - 1) * self.spread + 1
        padding = "".join(f" + {side}" for side in self.padding if side)
        positions = f"{float(self.positions):.2f}".rstrip("0").rstrip(".")
        return f"({size}{padding} - {covered}) / {self.stride} + 1 = {positions}"


def slide(field: Field, window: Window, entries: int) -> Field:
    """What is seen by windows at `entries` places, in the order of the axis."""
    step = Fraction(field.stride, window.spread)
    first = -step * window.padding[0]
    reach = step * (window.extent - 1) * window.dilation
    low, high = first + min(reach, 0), first + max(reach, 0)
    taps = np.arange(window.extent) * window.dilation - window.padding[0]
    places = np.arange(entries)[:, None] * window.stride + taps
    clean = np.asarray(field.clean, bool)
    inside = places // window.spread
    if window.boundary == "circular":
        seen = clean[inside % len(clean)]
    else:
        on_map = (inside >= 0) & (inside < len(clean))
        seen = clean[np.clip(inside, 0, len(clean) - 1)] & on_map
    # Between the entries there is nothing, and so there is beyond them.
    seen |= places % window.spread != 0
    stride = plain(step * window.stride)
    return Field(
        field.axis,
        stride,
        plus(field.low, low),
        plus(field.high, high),
        tuple(seen.all(1).tolist()),
        abs(stride) * entries,
    )
