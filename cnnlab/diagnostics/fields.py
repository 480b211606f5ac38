"""Which pixels of an image each value of a program can depend on.

The rules of the operations, on the algebra of `receptive_field`. Where an operation has
no rule, or moves entries by an amount that the program computes, what it gives is
unknown (None), and never guessed.
"""

from collections.abc import Sequence

from cnnlab.diagnostics import mixing_fields, moving_fields, operator_fields
from cnnlab.diagnostics.elementwise import ELEMENTWISE
from cnnlab.diagnostics.field_rules import Fields
from cnnlab.diagnostics.operation import Operation, Program, Value
from cnnlab.diagnostics.propagation import Domain, propagate, results
from cnnlab.diagnostics.receptive_field import (
    Field,
    hull,
    shifted,
    stretched,
    whole_image,
    widened,
)
from cnnlab.diagnostics.windows_of import windows_of

_HANDED_THROUGH = {"device_put", "optimization_barrier", "sharding_constraint"}
_PRIMITIVES = mixing_fields.RULES | moving_fields.RULES


def fields_of(
    program: Program, image: int, spatial: Sequence[int]
) -> dict[Value, Fields]:
    """What is seen by every value of `program` along the image's spatial axes.

    Args:
        image: which of the program's inputs is the image.
        spatial: its spatial axes.
    """
    shape = program.inputs[image].shape
    facts: list[Fields] = [None] * len(program.inputs)
    facts[image] = tuple(whole_image(shape[axis], axis) for axis in spatial)
    return propagate(program, facts, _domain(len(spatial)))


def _domain(rank: int) -> Domain[Fields]:
    unknown = (None,) * rank
    domain = Domain(
        constant=None,
        unknown=unknown,
        apply=lambda operation, facts: _apply(operation, facts, domain),
        join=_join,
        entry=_entry,
        stacked=_stacked,
        selected=lambda fact, by: fact if by is None else unknown,
    )
    return domain


def _apply(operation: Operation, facts: Sequence[Fields], domain) -> list[Fields]:
    outputs = len(operation.outputs)
    if all(fact is None for fact in facts):
        return [None] * outputs
    name = operation.name
    if operation.operator:
        first, *others = facts
        rule = operator_fields.RULES.get(name)
        if first is not None and rule is not None:
            seen = rule(operation, first)
            if seen is not None:
                return [_also_by(seen, others)] * outputs
        seen = _windowed(operation, facts)
        if seen is not None:
            return [seen] * outputs
        return results(operation.bodies[0], facts, domain)
    if name in _HANDED_THROUGH:
        return list(facts)
    if name in ELEMENTWISE:
        shape = operation.outputs[0].shape
        return [_joined([_spread(fact, shape) for fact in facts])] * outputs
    rule = _PRIMITIVES.get(name)
    if rule is not None:
        return rule(operation, facts)
    seen = _windowed(operation, facts)
    return [domain.unknown if seen is None else seen] * outputs


def _windowed(operation, facts) -> Fields:
    first, *others = facts
    windows = windows_of(operation) if first is not None else None
    if windows is None:
        return None
    seen = mixing_fields.slid(operation, first, windows)
    return _also_by(seen, others)


def _also_by(seen: Fields, others: Sequence[Fields]) -> Fields:
    """What is seen where further operands, such as a kernel, depend on the image too.

    They weigh in every entry, by whatever they see themselves.
    """
    others = [other for other in others if other is not None]
    if not others:
        return seen
    return tuple(
        None if None in fields else widened(fields[0], by=fields[1:])
        for fields in zip(seen, *others, strict=True)
    )


def _spread(fact: Fields, shape: Sequence[int]) -> Fields:
    """The same, where an entrywise operation repeats single entries to fit."""

    def one(field):
        if field.axis is None or len(field.clean) == shape[field.axis]:
            return field
        return stretched(field, field.axis, shape[field.axis])

    return fact and tuple(field and one(field) for field in fact)


def _joined(facts: Sequence[Fields]) -> Fields:
    seen = [fact for fact in facts if fact is not None]
    return tuple(map(hull, zip(*seen, strict=True)))


def _join(a: Fields, b: Fields) -> Fields:
    return _joined([a, b]) if a or b else None


def _entry(fact: Fields) -> Fields:
    """One entry along the first axis, whichever."""
    return fact and tuple(field and _without_first(field) for field in fact)


def _without_first(field: Field) -> Field | None:
    # An entry of a spatial axis has a place that changes from one trip to the next.
    return None if field.axis == 0 else shifted(field, -1)


def _stacked(fact: Fields) -> Fields:
    return fact and tuple(field and shifted(field, 1) for field in fact)
