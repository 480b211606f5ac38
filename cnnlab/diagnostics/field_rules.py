"""What the rules of `fields` share."""

from collections.abc import Callable

from cnnlab.diagnostics.receptive_field import Field

# One field for each spatial axis of the image, None where it is unknown. None for all
# of them: the value does not depend on the image.
Fields = tuple[Field | None, ...] | None


def each(fields: Fields, rule: Callable[[Field], Field | None]) -> Fields:
    """A rule of one axis, for each that is known."""
    return tuple(field and rule(field) for field in fields)


def on_first(rule: Callable) -> Callable:
    """A rule whose first operand alone may depend on the image."""

    def apply(operation, facts):
        first, *others = facts
        if first is None or any(other is not None for other in others):
            known = next(fact for fact in facts if fact is not None)
            return [(None,) * len(known)] * len(operation.outputs)
        seen = each(first, lambda field: rule(operation, field))
        return [seen] * len(operation.outputs)

    return apply
