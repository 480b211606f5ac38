"""Along which axes a value is the same everywhere, whatever it holds."""

from collections.abc import Sequence

from cnnlab.diagnostics.elementwise import ELEMENTWISE
from cnnlab.diagnostics.geometry.facts import Fact
from cnnlab.diagnostics.mixing_fields import REDUCTIONS
from cnnlab.diagnostics.moving_fields import axis_groups
from cnnlab.diagnostics.operation import Operation

_KEPT = {"copy", "device_put", "rev", "slice"}


def uniform_axes(operation: Operation, given: Sequence[Fact]) -> frozenset[int]:
    """Axes of the operation's only result; none where there is no rule."""
    if operation.operator or len(operation.outputs) != 1:
        return frozenset()
    rank = len(operation.outputs[0].shape)
    if operation.name in ELEMENTWISE:
        return _of_all(operation, given, range(rank))
    if operation.name == "concatenate":
        gone = operation.options["dimension"]
        return _of_all(operation, given, [axis for axis in range(rank) if axis != gone])
    if operation.name == "iota":
        return frozenset(range(rank)) - {operation.options["dimension"]}
    if operation.name in _KEPT:
        return given[0].uniform
    rule = _RULES.get(operation.name)
    return frozenset() if rule is None else rule(operation, given[0].uniform)


def _of_all(operation, given, axes) -> frozenset[int]:
    operands = [
        (value.shape, fact.uniform)
        for value, fact in zip(operation.inputs, given, strict=True)
    ]
    return frozenset(
        axis
        for axis in axes
        if all(
            not shape or shape[axis] == 1 or axis in uniform
            for shape, uniform in operands
        )
    )


def _broadcast(operation, uniform):
    axes, shape = (
        operation.options[name] for name in ("broadcast_dimensions", "shape")
    )
    before = operation.inputs[0].shape
    varying = {
        after
        for axis, after in enumerate(axes)
        if axis not in uniform and before[axis] > 1
    }
    return frozenset(range(len(shape))) - varying


def _transpose(operation, uniform):
    order = operation.options["permutation"]
    return frozenset(place for place, axis in enumerate(order) if axis in uniform)


def _without(gone):
    def rule(operation, uniform):
        removed = operation.options[gone]
        return frozenset(
            axis - sum(other < axis for other in removed)
            for axis in uniform
            if axis not in removed
        )

    return rule


def _reshape(operation, uniform):
    if operation.options["dimensions"]:
        return frozenset()
    before, after = operation.inputs[0].shape, operation.outputs[0].shape
    if 0 in before:
        return frozenset()
    return frozenset(
        axis
        for old, new in axis_groups(before, after)
        for axis in new
        if all(place in uniform or before[place] == 1 for place in old)
    )


_RULES = {
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "squeeze": _without("dimensions"),
    "transpose": _transpose,
    **dict.fromkeys(REDUCTIONS, _without("axes")),
}
