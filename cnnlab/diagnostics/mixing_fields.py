"""What is seen where JAX's primitives make one entry of several.

A rule takes an operation and the fields of its operands, and gives those of its
results.
"""

import dataclasses
import math
from collections.abc import Mapping

from cnnlab.diagnostics.field_rules import each, on_first
from cnnlab.diagnostics.operation import Operation
from cnnlab.diagnostics.receptive_field import (
    Field,
    dropped,
    everything,
    hull,
    moved,
    widened,
    without,
)
from cnnlab.diagnostics.sliding import Window, slide
from cnnlab.ops import pools


def slid(operation: Operation, fields, windows: Mapping[int, Window]):
    """What windows along these axes of the first operand see."""
    axes, mixed = axes_of_result(operation)

    def one(field):
        window = windows.get(field.axis)
        if window is not None:
            seen = slide(field, window, math.floor(window.positions))
            return dataclasses.replace(seen, axis=axes[field.axis])
        if field.axis in mixed:
            return everything(field)
        return moved(field, axes.get(field.axis, field.axis))

    return each(fields, one)


def axes_of_result(operation) -> tuple[dict[int, int], set[int]]:
    """Where the first operand's axes are in the result, and which are summed over."""
    axes = dict(enumerate(range(len(operation.inputs[0].shape))))
    if operation.name == "conv_general_dilated":
        layout = operation.options["dimension_numbers"]
        axes = dict(zip(layout.lhs_spec, layout.out_spec, strict=True))
        mixed = {layout.lhs_spec[1]}
        if operation.options["batch_group_count"] > 1:
            mixed.add(layout.lhs_spec[0])
        return axes, mixed
    traits = getattr(pools.get(operation.name), "traits", None)
    apart = traits.channelwise if operation.operator and traits else False
    apart = apart or operation.name.startswith("reduce_window")
    return axes, set() if apart else {len(axes) - 1}


def _reduced(operation, field):
    axes = operation.options["axes"]
    return _mixed(field) if field.axis in axes else without(field, axes)


def _mixed(field: Field) -> Field:
    """What is seen where an axis is summed over; a single entry sees what it did."""
    return dropped(field) if len(field.clean) == 1 else everything(field)


def _dot_general(operation, facts):
    (contracted, batched) = operation.options["dimension_numbers"]
    free = []
    for value, gone, kept in zip(operation.inputs, contracted, batched, strict=True):
        left = [a for a in range(len(value.shape)) if a not in (*gone, *kept)]
        free.append(left)
    seen = []
    for side, fields in enumerate(facts):
        if fields is None:
            continue
        first = len(batched[0]) + (len(free[0]) if side else 0)
        places = {axis: i for i, axis in enumerate(batched[side])}
        places |= {axis: first + i for i, axis in enumerate(free[side])}

        def one(field, side=side, places=places):
            if field.axis in contracted[side]:
                return _mixed(field)
            return moved(field, places.get(field.axis))

        seen.append(each(fields, one))
    return [tuple(map(hull, zip(*seen, strict=True)))]


def _along(operation, field, axes):
    """What entries see of which each may see all the others along these axes."""
    return widened(field) if field.axis in axes else field


def _cumulative(operation, field):
    return _along(operation, field, (operation.options["axis"],))


def _sort(operation, facts):
    fields = [fact for fact in facts if fact is not None]
    joined = tuple(map(hull, zip(*fields, strict=True)))
    axes = (operation.options["dimension"],)
    seen = each(joined, lambda field: _along(operation, field, axes))
    return [seen] * len(operation.outputs)


def _top_k(operation, field):
    axis = operation.options.get("axis", len(operation.inputs[0].shape) - 1)
    if field.axis != axis:
        return field
    return widened(field, entries=operation.outputs[0].shape[axis])


def _fft(operation, field):
    rank = len(operation.inputs[0].shape)
    count = len(operation.options["fft_lengths"])
    if field.axis is not None and field.axis >= rank - count:
        if operation.outputs[0].shape[field.axis] != len(field.clean):
            return None
    return _along(operation, field, range(rank - count, rank))


CUMULATIVE = ("cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum")
REDUCTIONS = (
    "reduce_and",
    "reduce_max",
    "reduce_min",
    "reduce_or",
    "reduce_prod",
    "reduce_sum",
    "reduce_xor",
)
RULES = {
    "dot_general": _dot_general,
    "fft": on_first(_fft),
    "sort": _sort,
    "top_k": on_first(_top_k),
    **dict.fromkeys(CUMULATIVE, on_first(_cumulative)),
    **dict.fromkeys((*REDUCTIONS, "argmax", "argmin"), on_first(_reduced)),
}
