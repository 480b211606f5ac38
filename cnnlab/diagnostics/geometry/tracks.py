"""How a value follows the image when the image is rolled: the algebra.

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
from collections.abc import Callable, Sequence
from fractions import Fraction

from cnnlab.diagnostics.operation import Operation


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """What an operator chose for each image: of a map of `size` entries, a start.

    Told from others by identity: two choices need not agree.
    """

    size: int


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
    return _common(track.image, (track.shifts, step))


def _common(image: int, shifts: Sequence[int]) -> int:
    both = math.lcm(*shifts)
    return both if image % both == 0 else image


def constant(image: int) -> Track:
    """Of what does not depend on the image."""
    return Track(image, 1)


def lost(track: Track, why: str) -> Track:
    """Where nothing can be said any more but of the image that stays."""
    why = track.why if track.is_lost else why
    return Track(track.image, track.image, why=why, cut=track.cut)


def still(track: Track) -> Track:
    """Where the track's shifts leave the value the same."""
    return Track(track.image, track.lattice, why=track.why)


def settled(track: Track, shape: Sequence[int]) -> Track:
    """Where the entries along the moving axis of such a value are no longer told apart.

    As in their sum, or their maximum.
    """
    if not track.moves:
        return track
    if not track.goes_around(shape):
        return lost(track, _part(track, shape))
    return still(track)


def changed(track: Track) -> Track:
    """Where every entry became another by itself."""
    return dataclasses.replace(track, whole=None)


def placed(track: Track, place: Callable[[int], int | None], why: str) -> Track:
    """Where the value's axes became others, by `place`; None for one that is mixed."""
    if not track.moves:
        return track
    axis, apart = place(track.axis), frozenset(map(place, track.apart))
    if axis is None or None in apart:
        return lost(track, why)
    return dataclasses.replace(track, axis=axis, apart=apart, whole=None)


def sampled(
    track: Track,
    stride: int | Fraction,
    start: int | Fraction = 0,
    whole: Whole | None = None,
) -> Track:
    """The entries `start`, `start + stride`, ... of the moving axis."""
    first = track.phase + track.stride * start
    why = track.why
    if stride > 1:
        why = f"keeps one entry in {stride}"
    return dataclasses.replace(
        track, stride=track.stride * stride, phase=first, whole=whole, why=why
    )


def refined(track: Track, parts: int) -> Track:
    """Where each entry became `parts` entries, told apart by their places."""
    if (shifts := track.lattice) == track.image:
        return lost(track, "puts entries between entries")
    return dataclasses.replace(
        track, shifts=shifts, stride=track.stride / parts, whole=None
    )


def resampled(track: Track, before: int, after: int) -> Track:
    """Where `after` samples stand for `before` entries, each of all of them."""
    why = track.why if after >= before else f"keeps {after} samples of {before}"
    shifts, stride = track.lattice, track.stride * Fraction(before, after)
    return dataclasses.replace(track, shifts=shifts, stride=stride, whole=None, why=why)


def cut_by(
    track: Track, shape: Sequence[int], operation: Operation, before: tuple[int, ...]
) -> Track:
    """The track, with what cut it; shorter than a turn is a cut of its own."""
    if not track.moves or track.goes_around(shape):
        return dataclasses.replace(track, cut=track.cut if track.is_lost else None)
    is_short = shape[track.axis] * track.stride < track.around
    if track.cut is not None and track.cut.is_short == is_short:
        return dataclasses.replace(track)
    cut = Cut(operation, before, is_short, _part(track, shape))
    return dataclasses.replace(track, cut=cut)


def uncut(track: Track, shape: Sequence[int], of: str) -> Track:
    """The track, lost where a value of that shape does not go around."""
    if track.goes_around(shape):
        return track
    return lost(track, f"{of}, {_part(track, shape)}")


def within(track: Track, others: Sequence[Track]) -> Track:
    """The same, under the shifts that leave `others` the same too."""
    shifts = _common(track.image, (track.shifts, *(other.shifts for other in others)))
    if shifts == track.shifts:
        return track
    why = next(other.why for other in others if other.shifts > 1)
    if shifts == track.image:
        return lost(track, why)
    return dataclasses.replace(track, shifts=shifts, whole=None, why=why)


def together(tracks: Sequence[Track], uniform: Sequence[Callable[[int], bool]]):
    """The track of what depends on one entry of each value at a time.

    Args:
        uniform: for each value, whether it is the same all along an axis.
    """
    movers = [track for track in tracks if track.moves]
    first = movers[0] if movers else tracks[0]
    shifts = _common(first.image, [track.shifts for track in tracks])
    slowest = max(tracks, key=lambda track: track.lattice)
    if shifts == first.image:
        return lost(first, slowest.why)
    if not movers:
        return Track(first.image, shifts, why=slowest.why)
    for track, is_uniform in zip(tracks, uniform, strict=True):
        if not track.moves:
            if not is_uniform(first.axis):
                return lost(first, "meets what varies from place to place and stays")
        elif _motion(track) != _motion(first):
            return lost(first, _disagreement(track, first))
    return dataclasses.replace(first, shifts=shifts, whole=None, why=slowest.why)


def _motion(track):
    return track.axis, track.choice, track.stride, track.apart


def _disagreement(a: Track, b: Track) -> str:
    if a.choice is not b.choice:
        return "brings together what was kept by different choices"
    return "brings together what moves by different steps"


def _part(track: Track, shape: Sequence[int]) -> str:
    entries = shape[track.axis]
    spacing = "" if track.stride == 1 else f", {track.stride} apart,"
    entry = "entry does" if entries == 1 else f"entries{spacing} do"
    return f"{entries} {entry} not go around {track.around}"
