"""Which pixels of an image a value can depend on: the algebra.

Along one spatial axis of the image, entry i of a value sees the coordinates

    stride * i + low, ..., stride * i + high

and no others. Coordinates beyond the image are where its boundary continues it. Every
rule gives an interval that holds all that is seen; for convolutions, windows, slices
and padding it is the smallest.

Source: Araujo, Norris and Sim, 2019, "Computing receptive fields of convolutional
neural networks", https://distill.pub/2019/computing-receptive-fields; here on intervals
whose ends are kept apart, so that asymmetric padding keeps its place.
"""

import dataclasses
import math
from collections.abc import Collection, Sequence
from fractions import Fraction

import numpy as np

Number = int | float | Fraction


@dataclasses.dataclass(frozen=True)
class Field:
    """What a value sees along one spatial axis of the image.

    Attributes:
        axis: the array's axis that runs along it; None where no one does.
        stride: pixels from one entry to the next; 0 where all entries see the same.
        low, high: the first and the last coordinate that entry 0 sees. Infinite where
            the whole axis is seen, however large it is.
        clean: for each entry whether no padding reaches it, through whatever came
            before.
        around: pixels once around the map that the value is a part of, were that a
            torus; 0 where there is no one map.
    """

    axis: int | None
    stride: Number
    low: Number
    high: Number
    clean: tuple[bool, ...]
    around: Number

    @property
    def extent(self) -> int | float:
        """How many pixels an entry sees; infinite where it is all of them."""
        return (
            math.inf if math.isinf(self.high) else math.floor(self.high - self.low) + 1
        )

    @property
    def center(self) -> Number | None:
        """The coordinate in the middle of what entry 0 sees."""
        return None if math.isinf(self.high) else Fraction(self.low + self.high) / 2


def whole_image(size: int, axis: int) -> Field:
    """What the image itself sees: every entry its own pixel."""
    return Field(axis, 1, 0, 0, (True,) * size, size)


def everything(field: Field) -> Field:
    """What is seen where the axis is mixed: all of it, by what is left."""
    return Field(None, 0, -math.inf, math.inf, (all(field.clean),), 0)


def widened(
    field: Field,
    *,
    stride: Number | None = None,
    entries: int | None = None,
    by: Sequence[Field] = (),
) -> Field:
    """What is seen where every entry sees all, but is still one of a row.

    Args:
        stride, entries: of the row; None leaves what they were.
        by: what else is seen, and may have been reached by padding.
    """
    clean = all(all(seen.clean) for seen in (field, *by))
    return dataclasses.replace(
        field,
        stride=field.stride if stride is None else plain(Fraction(stride)),
        low=-math.inf,
        high=math.inf,
        clean=(clean,) * (len(field.clean) if entries is None else entries),
    )


def sliced(field: Field, start: int, stop: int, stride: int = 1) -> Field:
    """What is seen by the entries `start`, `start + stride`, ... before `stop`."""
    first = field.stride * start
    return dataclasses.replace(
        field,
        stride=field.stride * stride,
        low=field.low + first,
        high=field.high + first,
        clean=field.clean[start:stop:stride],
    )


def padded(field: Field, low: int, high: int, interior: int = 0) -> Field:
    """What is seen where entries are added (negative: taken away), as in `lax.pad`."""
    step = Fraction(field.stride, interior + 1)
    size = (len(field.clean) - 1) * (interior + 1) + 1
    clean = np.ones(max(size, 0), bool)
    clean[:: interior + 1] = field.clean
    clean = np.pad(clean, (max(low, 0), max(high, 0)))
    clean = clean[max(-low, 0) : len(clean) - max(-high, 0)]
    return dataclasses.replace(
        field,
        stride=plain(step),
        low=plus(field.low, -step * low),
        high=plus(field.high, -step * low),
        clean=tuple(clean.tolist()),
        around=plain(abs(step) * len(clean)),
    )


def reversed_order(field: Field) -> Field:
    """What is seen by the entries from the last to the first."""
    last = field.stride * (len(field.clean) - 1)
    return dataclasses.replace(
        field,
        stride=-field.stride,
        low=field.low + last,
        high=field.high + last,
        clean=field.clean[::-1],
    )


def split(field: Field, blocks: int, axis: int) -> Field:
    """What is seen by `blocks` equal runs of entries, each laid along other axes."""
    run = len(field.clean) // blocks
    reach = field.stride * (run - 1)
    clean = np.reshape(field.clean, (blocks, run)).all(1)
    return dataclasses.replace(
        field,
        axis=axis,
        stride=field.stride * run,
        low=field.low + min(reach, 0),
        high=field.high + max(reach, 0),
        clean=tuple(clean.tolist()),
    )


def merged(field: Field, run: int, axis: int) -> Field:
    """What is seen by the entries of an axis of which `run` were one entry before."""
    step = Fraction(field.stride, run)
    # The last of a run sees no further than the first: its coordinates lag behind.
    lag = step * (run - 1)
    return dataclasses.replace(
        field,
        axis=axis,
        stride=plain(step),
        low=plus(field.low, -max(lag, 0)),
        high=plus(field.high, -min(lag, 0)),
        clean=tuple(np.repeat(field.clean, run).tolist()),
    )


def stretched(field: Field, axis: int, entries: int) -> Field:
    """What is seen by the copies of a single entry along `axis`."""
    return dataclasses.replace(
        field, axis=axis, stride=0, clean=tuple(field.clean) * entries
    )


def moved(field: Field, axis: int | None) -> Field:
    """The same, along another axis of the array."""
    return dataclasses.replace(field, axis=axis)


def shifted(field: Field, by: int) -> Field:
    """The same, of a value with more axes in front, or fewer."""
    return field if field.axis is None else moved(field, field.axis + by)


def without(field: Field, gone: Collection[int]) -> Field:
    """The same, of a value without the axes `gone`, of which the field's is none."""
    if field.axis is None:
        return field
    return shifted(field, -sum(axis < field.axis for axis in gone))


def dropped(field: Field) -> Field:
    """The same, of a value that has lost its axis of one entry."""
    return dataclasses.replace(field, axis=None, stride=0)


def hull(fields: Sequence[Field | None]) -> Field | None:
    """What is seen by an entry that sees what any of the given ones does.

    None, for unknown, where they are not aligned: other axes, or other strides.
    """
    first, *others = fields
    for other in others:
        if first is None or other is None:
            return None
        first = _pair(first, other)
    return first


def _pair(a: Field, b: Field) -> Field | None:
    if a == b:
        return a
    if a.axis is None or (a.stride == 0 and b.axis is not None):
        a, b = b, a
    # Now `b` may see the same from all entries, and `a` be one of a row.
    if b.axis not in (None, a.axis) or b.stride not in (0, a.stride):
        return None
    low, high = b.low, b.high
    if b.stride != a.stride:
        last = a.stride * (len(a.clean) - 1)
        low, high = low - max(last, 0), high - min(last, 0)
    clean = np.logical_and(a.clean, b.clean)
    return dataclasses.replace(
        a,
        low=min(a.low, low),
        high=max(a.high, high),
        clean=tuple(clean.tolist()),
        around=a.around if a.around == b.around else 0,
    )


def plain(number: Number) -> Number:
    """An int where a fraction is whole."""
    whole = isinstance(number, Fraction) and number.denominator == 1
    return int(number) if whole else number


def plus(end: Number, more: Number) -> Number:
    """The sum, an int where it is whole; an infinite end stays."""
    return end if math.isinf(end) else plain(end + more)
