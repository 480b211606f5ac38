"""The facts of every value of a program, and the operations that cost shifts."""

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence

from cnnlab.diagnostics.elementwise import ELEMENTWISE
from cnnlab.diagnostics.geometry import (
    axis_rules,
    facts,
    mixing_rules,
    window_rules,
)
from cnnlab.diagnostics.geometry.axis_rules import Rule
from cnnlab.diagnostics.geometry.choice_rules import chosen
from cnnlab.diagnostics.geometry.facts import Fact, Operand
from cnnlab.diagnostics.geometry.track import Cut, Track
from cnnlab.diagnostics.geometry.tracks import cut_by, lost, together
from cnnlab.diagnostics.geometry.uniformity import uniform_axes
from cnnlab.diagnostics.operation import Operation, Program, Value
from cnnlab.diagnostics.propagation import Domain, propagate, results

_PRIMITIVES = (
    dict.fromkeys(ELEMENTWISE, mixing_rules.elementwise)
    | axis_rules.RULES
    | mixing_rules.RULES
)


@dataclasses.dataclass(frozen=True)
class Loss:
    """What an operation costs: along each axis, what divides the shifts.

    Attributes:
        cuts: the operations before it that had cut what it loses shifts of.
    """

    operation: Operation
    before: tuple[int, ...]
    after: tuple[int, ...]
    why: str
    cuts: frozenset[Operation] = frozenset()


def facts_of(
    program: Program, image: int, spatial: Sequence[int]
) -> tuple[dict[Value, Fact], list[Loss]]:
    """What is known of every value, and the losses in the order of the program.

    Args:
        image: which of the program's inputs is the image.
        spatial: its spatial axes.
    """
    walker = _Walker([program.inputs[image].shape[axis] for axis in spatial])
    constant = walker.domain.constant
    given = [constant] * len(program.inputs)
    tracks = zip(walker.image, spatial, strict=True)
    given[image] = Fact(frozenset(), tuple(Track(n, 1, axis) for n, axis in tracks))
    known = propagate(program, given, walker.domain)
    for value in program.outputs:
        for axis, track in enumerate(known.get(value, constant).best):
            if track.cut is not None and track.moves:
                walker.blame(track.cut, axis)
    order = list(every_operation(program))
    for operation in order:
        if operation.bodies and not operation.operator:
            _note_loop(walker, operation, known)
    place = {operation: i for i, operation in enumerate(order)}
    # What was cut for good has nothing more to lose.
    losses = (loss for loss in walker.losses.values() if not loss.cuts & walker.blamed)
    return known, sorted(losses, key=lambda loss: place[loss.operation])


def every_operation(program: Program) -> Iterator[Operation]:
    """The operations in order, those of all loops and branches before these."""
    for operation in program.operations:
        if not operation.operator:
            for body in operation.bodies:
                yield from every_operation(body)
        yield operation


def _note_loop(walker: "_Walker", operation, known) -> None:
    """Remembers what a loop or a branch lost that no operation inside of it did."""
    constant = walker.domain.constant
    inside = {part for body in operation.bodies for part in every_operation(body)}
    given, out = (
        [known.get(value, constant) for value in values]
        for values in (operation.inputs, operation.outputs)
    )
    lost_inside = (loss.after for part, loss in walker.losses.items() if part in inside)
    before = tuple(map(math.lcm, walker.lattices(given), *lost_inside))
    walker.note(operation, before, out)


class _Walker:
    """Applies the rules, and remembers which operation lost what."""

    def __init__(self, image: Sequence[int]):
        self.image = image
        self.domain = Domain(
            constant=facts.constant_fact(image),
            unknown=facts.unknown_fact(image, "is repeated an unknown number of times"),
            apply=self._apply,
            join=facts.join,
            entry=facts.entry,
            stacked=facts.stacked,
            selected=facts.selected,
        )
        self._is_inside = False
        self.losses: dict[Operation, Loss] = {}
        self.blamed: set[Operation] = set()

    def _apply(self, operation: Operation, given: Sequence[Fact]) -> list[Fact]:
        out = self._results(operation, given)
        if self._is_inside:
            return [fact.each(dataclasses.replace) for fact in out]
        before = self.lattices(given)
        noted = []
        for fact, value in zip(out, operation.outputs, strict=True):
            mark = functools.partial(
                cut_by, shape=value.shape, operation=operation, before=before
            )
            noted.append(fact.each(mark))
        tracks = [track for fact in given for track in fact.best if track.cut]
        cuts = frozenset(track.cut.operation for track in tracks)
        self.note(operation, before, noted, cuts)
        return noted

    def _results(self, operation, given) -> list[Fact]:
        if not any(fact.moves for fact in given):
            return self._by(_unknown, operation, given)
        if operation.operator:
            fact = chosen(operation, given)
            if fact is not None:
                return [fact]
            rule = window_rules.RULES.get(operation.name, window_rules.windowed)
            return self._by(rule, operation, given) or self._opened(operation, given)
        rule = _PRIMITIVES.get(operation.name, window_rules.windowed)
        return self._by(rule, operation, given) or self._by(_unknown, operation, given)

    def _opened(self, operation, given):
        around, self._is_inside = self._is_inside, True
        try:
            return results(operation.bodies[0], given, self.domain)
        finally:
            self._is_inside = around

    def _by(self, rule: Rule, operation, given) -> list[Fact] | None:
        """The facts by a rule of one axis, taken along all of them on each level."""
        constant = self.domain.constant.exact
        exact = _level(rule, operation, given, [f.exact for f in given], constant)
        if exact is None:
            return None
        uniform = uniform_axes(operation, given)
        if all(fact.loose is None for fact in given):
            return [Fact(uniform, level) for level in exact]
        loose = _level(rule, operation, given, [f.best for f in given], constant)
        along = facts.chosen_along(given)
        return [
            facts.fact_of(uniform, *levels, along)
            for levels in zip(exact, loose, strict=True)
        ]

    def lattices(self, given: Sequence[Fact]) -> tuple[int, ...]:
        """Along each axis, what divides the shifts that all of these follow."""
        tracks = zip(*(fact.best for fact in given), strict=True)
        found = tuple(math.lcm(*(track.lattice for track in along)) for along in tracks)
        return found or (1,) * len(self.image)

    def note(
        self,
        operation: Operation,
        before: tuple[int, ...],
        out: Sequence[Fact],
        cuts: frozenset[Operation] = frozenset(),
    ) -> None:
        """Remembers what an operation lost, or one before, where that cut a map."""
        after = self.lattices(out)
        if after == before:
            return
        blamed = False
        for fact in out:
            for axis, track in enumerate(fact.best):
                if track.is_lost and track.cut and before[axis] < after[axis]:
                    self.blame(track.cut, axis)
                    blamed = True
        if not blamed:
            slowest = max(
                (track for fact in out for track in _lost_more(fact.best, before)),
                key=lambda track: track.lattice,
                default=None,
            )
            if slowest is not None:
                self._add(Loss(operation, before, after, slowest.why, cuts))

    def blame(self, cut: Cut, axis: int) -> None:
        """Counts a cut along an axis, which nothing has mended."""
        self.blamed.add(cut.operation)
        after = list(cut.before)
        after[axis] = self.image[axis]
        self._add(Loss(cut.operation, cut.before, tuple(after), cut.why))

    def _add(self, loss: Loss) -> None:
        known = self.losses.setdefault(loss.operation, loss)
        after = tuple(map(max, known.after, loss.after))
        self.losses[loss.operation] = dataclasses.replace(known, after=after)


def _lost_more(level, before):
    return [
        track for track, was in zip(level, before, strict=True) if track.lattice > was
    ]


def _level(rule, operation, given, levels, constant) -> list[facts.Level] | None:
    """For each output, its tracks along all axes; None where the rule is none."""
    outputs, found = len(operation.outputs), []
    for tracks in zip(*levels, strict=True):
        if not any(track.moves for track in tracks):
            found.append([together(tracks, ())] * outputs)
            continue
        operands = [
            Operand(track, value.shape, fact.uniform)
            for track, value, fact in zip(tracks, operation.inputs, given, strict=True)
        ]
        results_along = rule(operation, operands)
        if results_along is None:
            return None
        found.append(results_along)
    return list(zip(*found, strict=True)) or [constant] * outputs


def _unknown(operation, operands):
    moving = next(operand.track for operand in operands if operand.track.moves)
    why = f"{operation.name} is not known to follow the image"
    return [lost(moving, why)] * len(operation.outputs)
