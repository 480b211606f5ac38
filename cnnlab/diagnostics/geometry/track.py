"""How a value follows the image when the image is rolled.

Along one spatial axis of the image, of n pixels, a value that moves is read off a map
that goes around: entry i is F(phase + stride * i), where F has period n and

    F of the image rolled by p = F rolled by p, for every p that `shifts` divides.

So the value itself is rolled by p / stride entries wherever that is whole and its
entries go around (length * stride is a multiple of n). What is cut off such a map does
not go around, and yet may be the margin of one that does: it keeps its track.

A choice that the image decides, as in shift-exact pools, starts a map of its own: it is
rolled by whole entries, but by how many is not known.
"""

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction

from cnnlab.diagnostics.operation import Operation


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """What an operator chose for each image: of a map of `size` entries, a start.

    Told from others by identity: two choices need not agree.
    """

    size: int


class Thinning(str):
    """Why shifts were lost, where it is that some entries alone were kept.

    Means of what was kept may be those of all, of which the rest could be told.
    """


@dataclasses.dataclass(frozen=True, eq=False)
class Whole:
    """The value that pieces were cut from, told from others by its own track."""

    track: "Track"

    def __eq__(self, other) -> bool:
        return isinstance(other, Whole) and self.track is other.track

    def __hash__(self) -> int:
        return id(self.track)


@dataclasses.dataclass(frozen=True, eq=False)
class Cut:
    """An operation whose result does not go around.

    Attributes:
        before: the lattices along all axes that its operands had.
        is_short: whether it left less than a turn.
    """

    operation: Operation
    before: tuple[int, ...]
    is_short: bool
    why: str


@dataclasses.dataclass(frozen=True)
class Track:
    """What is known of a value along one spatial axis of the image.

    Attributes:
        image: pixels along that axis.
        shifts: a divisor of `image`, which divides the shifts that this is about; equal
            to it, only the image that stays is spoken of.
        axis: the array's axis that moves; None where the value stays the same.
        stride, phase: of its entries on the map that goes around.
        choice: the map's, where it is rolled by unknown amounts; None for the image's.
        apart: axes along which these amounts may differ, such as the batch.
        whole: what it is a piece of; None where it is no piece.
        why: what kept `shifts` from being smaller.
        cut: what left less, or more, than whole turns of the map.
    """

    image: int
    shifts: int
    axis: int | None = None
    stride: Fraction = Fraction(1)
    phase: Fraction = Fraction(0)
    choice: Choice | None = None
    apart: frozenset[int] = frozenset()
    whole: Whole | None = None
    why: str = dataclasses.field(default="", compare=False)
    cut: Cut | None = dataclasses.field(default=None, compare=False)

    @property
    def around(self) -> int:
        """How long the map is once around."""
        return self.image if self.choice is None else self.choice.size

    @property
    def lattice(self) -> int:
        """What divides the shifts that roll a value of these strides by whole entries.

        As long as its entries go around.
        """
        return _within(self, self.stride.numerator) if self.moves else self.shifts

    @property
    def moves(self) -> bool:
        """Whether the value is rolled."""
        return self.axis is not None

    @property
    def is_lost(self) -> bool:
        """Whether nothing is known of the image that moves."""
        return self.axis is None and self.shifts == self.image

    def goes_around(self, shape: Sequence[int]) -> bool:
        """Whether a value of that shape holds whole turns of its map."""
        return not self.moves or shape[self.axis] * self.stride % self.around == 0

    def claimed(self, shape: Sequence[int]) -> int:
        """What divides the shifts by which a value of that shape is known to move."""
        return self.lattice if self.goes_around(shape) else self.image


def _within(track: Track, step: int) -> int:
    """`shifts` that move the map by a multiple of `step`."""
    if track.choice is not None:
        return track.shifts if step == 1 else track.image
    return common(track.image, (track.shifts, step))


def common(image: int, shifts: Sequence[int]) -> int:
    """What divides the shifts that all of these divide, of so many pixels."""
    both = math.lcm(*shifts)
    return both if image % both == 0 else image
