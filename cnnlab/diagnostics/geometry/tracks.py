"""What operations make of tracks: the algebra.

A rule of `axis_rules`, `mixing_rules` or `window_rules` is made of these.
"""

import dataclasses
from collections.abc import Callable, Sequence
from fractions import Fraction

from cnnlab.diagnostics.geometry.track import Cut, Thinning, Track, Whole, common
from cnnlab.diagnostics.operation import Operation


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
        why = Thinning(f"keeps one entry in {stride}")
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
    why = track.why
    if after < before:
        why = Thinning(f"keeps {after} samples of {before}")
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
    shifts = common(track.image, (track.shifts, *(other.shifts for other in others)))
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
    shifts = common(first.image, [track.shifts for track in tracks])
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
