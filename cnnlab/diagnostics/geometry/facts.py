"""What is known of a value: its tracks along all spatial axes of the image."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cnnlab.diagnostics.geometry.track import Track
from cnnlab.diagnostics.geometry.tracks import constant, lost, together

Level = tuple[Track, ...]


@dataclasses.dataclass(frozen=True)
class Fact:
    """What is known of a value; each statement is about shifts along all axes at once.

    Attributes:
        uniform: array axes along which the value is the same.
        exact: a track for each spatial axis of the image, by known amounts.
        loose: the same for more shifts, some of which move the value by amounts that
            the image decides; None where that adds nothing.
    """

    uniform: frozenset[int]
    exact: Level
    loose: Level | None = None

    @property
    def best(self) -> Level:
        """The tracks of the more shifts."""
        return self.exact if self.loose is None else self.loose

    @property
    def moves(self) -> bool:
        """Whether the value is rolled at all."""
        return any(track.moves for track in (*self.exact, *self.best))

    def each(self, rule: Callable[[Track], Track]) -> "Fact":
        """The same of other tracks, whose lattices are the same."""
        loose = self.loose and tuple(map(rule, self.loose))
        return Fact(self.uniform, tuple(map(rule, self.exact)), loose)


class Operand(NamedTuple):
    """One operand of an operation, along one spatial axis of the image."""

    track: Track
    shape: tuple[int, ...]
    uniform: frozenset[int]

    def is_uniform(self, axis: int) -> bool:
        """Whether the operand is the same all along an axis."""
        return not self.shape or self.shape[axis] == 1 or axis in self.uniform

    @property
    def entries(self) -> int:
        """How many lie along the moving axis."""
        return self.shape[self.track.axis]


def constant_fact(image: Sequence[int]) -> Fact:
    """Of what does not depend on an image with so many pixels along each axis."""
    return Fact(frozenset(), tuple(map(constant, image)))


def unknown_fact(image: Sequence[int], why: str) -> Fact:
    """Of what may be anything."""
    return Fact(frozenset(), tuple(lost(constant(size), why) for size in image))


def fact_of(
    uniform: frozenset[int], exact: Level, loose: Level, chosen: Sequence[bool]
) -> Fact:
    """The fact of these levels, without what adds nothing.

    Args:
        chosen: along which spatial axes operands were moved by amounts that the image
            decides. Where one of these is lost, `loose` says nothing at all: what is
            chosen along one axis may move with shifts along another.
    """
    pairs = list(zip(loose, exact, strict=True))
    is_more = all(b.lattice % a.lattice == 0 for a, b in pairs)
    gone = any(
        here and track.lattice == track.image
        for here, track in zip(chosen, loose, strict=True)
    )
    if gone:
        told = [
            dataclasses.replace(track, why=other.why) if other.is_lost else track
            for other, track in pairs
        ]
        return Fact(uniform, tuple(told))
    if not is_more or all(a.lattice == b.lattice for a, b in pairs):
        return Fact(uniform, exact)
    if not any(track.choice for track in loose):
        return Fact(uniform, loose)
    return Fact(uniform, exact, loose)


def chosen_along(facts: Sequence[Fact]) -> list[bool]:
    """Along which spatial axes any of these is moved by amounts the image decides."""
    levels = [fact.best for fact in facts]
    return [any(t.choice for t in tracks) for tracks in zip(*levels, strict=True)]


def join(a: Fact, b: Fact) -> Fact:
    """What is known of a value that is the one or the other."""
    tests = a.uniform.__contains__, b.uniform.__contains__
    return _together((a, b), a.uniform & b.uniform, tests)


def selected(fact: Fact, by: Fact) -> Fact:
    """What is known of a value that a single entry chose."""
    tests = fact.uniform.__contains__, lambda axis: True
    return _together((fact, by), fact.uniform, tests)


def _together(facts, uniform, tests) -> Fact:
    def level(levels):
        return tuple(together(tracks, tests) for tracks in zip(*levels, strict=True))

    exact = level([fact.exact for fact in facts])
    if all(fact.loose is None for fact in facts):
        return Fact(uniform, exact)
    loose = level([fact.best for fact in facts])
    return fact_of(uniform, exact, loose, chosen_along(facts))


def entry(fact: Fact) -> Fact:
    """What is known of the entries along the first axis."""

    def one(track):
        if track.axis == 0 or 0 in track.apart:
            return lost(track, "goes along the map entry by entry")
        return _renumbered(track, -1)

    return _each(fact, one, frozenset(axis - 1 for axis in fact.uniform if axis))


def stacked(fact: Fact) -> Fact:
    """What is known of a value that is stacked of such entries."""

    def one(track):
        track = _renumbered(track, 1)
        if track.choice is None:
            return track
        return dataclasses.replace(track, apart=track.apart | {0})

    return _each(fact, one, frozenset(axis + 1 for axis in fact.uniform))


def _each(fact: Fact, rule: Callable[[Track], Track], uniform) -> Fact:
    exact = tuple(map(rule, fact.exact))
    if fact.loose is None:
        return Fact(uniform, exact)
    loose = tuple(map(rule, fact.loose))
    return fact_of(uniform, exact, loose, chosen_along([fact]))


def _renumbered(track: Track, by: int) -> Track:
    if not track.moves:
        return track
    apart = frozenset(axis + by for axis in track.apart)
    return dataclasses.replace(track, axis=track.axis + by, apart=apart, whole=None)
