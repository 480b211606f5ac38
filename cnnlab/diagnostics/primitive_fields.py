"""What the primitives of JAX let each entry see: rules on `receptive_field`.

A rule takes an operation and the fields of its operands, and gives those of its
results. Primitives without a rule are unknown.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from cnnlab.diagnostics.program import Operation
from cnnlab.diagnostics.receptive_field import (
    Field,
    Window,
    everything,
    hull,
    merged,
    padded,
    reversed_order,
    sliced,
    slide,
    split,
    stretched,
    widened,
)


def slid(operation: Operation, fields, windows: Mapping[int, Window]):
    """What windows along these axes of the first operand see."""
    axes, mixed = _axes_of_result(operation)

    def one(field):
        window = windows.get(field.axis)
        if window is not None:
            seen = slide(field, window, math.floor(window.positions))
            return dataclasses.replace(seen, axis=axes[field.axis])
        if field.axis in mixed:
            return everything(field)
        return moved_to(field, axes.get(field.axis, field.axis))

    return _each(fields, one)


def _axes_of_result(operation) -> tuple[dict[int, int], set[int]]:
    """Where the first operand's axes are in the result, and which are summed over."""
    axes = dict(enumerate(range(len(operation.inputs[0].shape))))
    if operation.name == "conv_general_dilated":
        layout = operation.options["dimension_numbers"]
        axes = dict(zip(layout.lhs_spec, layout.out_spec, strict=True))
        mixed = {layout.lhs_spec[1]}
        if operation.options["batch_group_count"] > 1:
            mixed.add(layout.lhs_spec[0])
        return axes, mixed
    channels = len(axes) - 1
    return axes, {channels} if operation.name.startswith("conv") else set()


def moved(field: Field, by: int) -> Field:
    """The same, of a value with more axes in front, or fewer."""
    return moved_to(field, None if field.axis is None else field.axis + by)


def moved_to(field: Field, axis: int | None) -> Field:
    """The same, along another axis of the array."""
    return dataclasses.replace(field, axis=axis)


def _each(fields, rule: Callable[[Field], Field | None]):
    return tuple(field and rule(field) for field in fields)


def _on_first(rule):
    """A rule whose first operand alone may depend on the image."""

    def apply(operation, facts):
        first, *others = facts
        if first is None or any(other is not None for other in others):
            known = next(fact for fact in facts if fact is not None)
            return [(None,) * len(known)] * len(operation.outputs)
        seen = _each(first, lambda field: rule(operation, field))
        return [seen] * len(operation.outputs)

    return apply


def _left(field: Field, gone: Sequence[int]) -> Field:
    """The same, of a value without the axes `gone`, of which the field's is none."""
    if field.axis is None:
        return field
    return moved(field, -sum(axis < field.axis for axis in gone))


def _reduced(field: Field, axes: Sequence[int]) -> Field:
    if field.axis in axes:
        # Of a single entry it is still known what that sees.
        return dropped(field) if len(field.clean) == 1 else everything(field)
    return _left(field, axes)


def dropped(field: Field) -> Field:
    """The same, of a value that has lost an axis of one entry."""
    return dataclasses.replace(field, axis=None, stride=0)


def _broadcast(operation, field):
    if field.axis is None:
        return field
    axis = operation.options["broadcast_dimensions"][field.axis]
    entries = operation.options["shape"][axis]
    if entries == len(field.clean):
        return moved_to(field, axis)
    return stretched(field, axis, entries)


def _transpose(operation, field):
    if field.axis is None:
        return field
    return moved_to(field, operation.options["permutation"].index(field.axis))


def _slice(operation, field):
    if field.axis is None:
        return field
    options, axis = operation.options, field.axis
    strides = options["strides"]
    return sliced(
        field,
        options["start_indices"][axis],
        options["limit_indices"][axis],
        1 if strides is None else strides[axis],
    )


def _pad(operation, field):
    if field.axis is None:
        return field
    low, high, interior = operation.options["padding_config"][field.axis]
    return (
        padded(field, low, high, interior)
        if (low, high, interior) != (0, 0, 0)
        else field
    )


def _reverse(operation, field):
    is_reversed = field.axis in operation.options["dimensions"]
    return reversed_order(field) if is_reversed else field


def _reshape(operation, facts):
    (fields, *others) = facts
    before, after = operation.inputs[0].shape, operation.outputs[0].shape
    if any(others) or operation.options["dimensions"] or 0 in before:
        return [(None,) * len(next(filter(None, facts)))]
    places = {axis: group for group in _groups(before, after) for axis in group[0]}
    spatial = {field.axis for field in fields if field is not None}

    def one(field):
        if field.axis is None:
            return field
        old, new = places[field.axis]
        if len(field.clean) == 1:
            return (
                moved_to(field, new[0])
                if (len(old), len(new)) == (1, 1)
                else dropped(field)
            )
        old = [axis for axis in old if before[axis] > 1]
        new = [axis for axis in new if after[axis] > 1]
        if old == [field.axis]:
            return split(field, after[new[0]], new[0])
        if old[0] == field.axis and len(new) == 1 and spatial.isdisjoint(old[1:]):
            return merged(field, math.prod(before[axis] for axis in old[1:]), new[0])
        return everything(field)

    return [_each(fields, one)]


def _groups(before, after) -> Iterator[tuple[list[int], list[int]]]:
    """The axes of two shapes in the smallest groups of equal sizes, in order."""
    i = j = 0
    while i < len(before) or j < len(after):
        ones = [i < len(before) and before[i] == 1, j < len(after) and after[j] == 1]
        if any(ones):
            old, new = ([i] if ones[0] else []), ([j] if ones[1] else [])
            # An axis of one entry that is neither beside another nor alone is new.
            i, j = i + len(old), j + len(new)
            yield old, new
            continue
        old, new = [i], [j]
        while (a := _size(before, old)) != (b := _size(after, new)):
            (old if a < b else new).append((old if a < b else new)[-1] + 1)
        i, j = old[-1] + 1, new[-1] + 1
        yield old, new


def _size(shape, axes) -> int:
    return math.prod(shape[axis] for axis in axes)


def _concatenate(operation, facts):
    axis = operation.options["dimension"]
    known = [fact for fact in facts if fact is not None]
    pieces = []
    start, total = 0, operation.outputs[0].shape[axis]
    for value, fact in zip(operation.inputs, facts, strict=True):
        pieces.append((fact, start, total - start - value.shape[axis]))
        start += value.shape[axis]
    seen = []
    for i in range(len(known[0])):
        along = [fact[i] for fact in known]
        if None not in along and any(field.axis == axis for field in along):
            placed = [
                (fact[i], low, high) for fact, low, high in pieces if fact is not None
            ]
            seen.append(_laid_out(placed, axis))
        else:
            seen.append(hull(along))
    return [tuple(seen)]


def _laid_out(pieces, axis) -> Field | None:
    """What the entries of pieces see that are laid after one another.

    What lies beside them all is padding.
    """
    if any(field.axis != axis for field, _, _ in pieces):
        return None
    grown = [padded(field, low, high) for field, low, high in pieces]
    if len({(field.stride, field.low, field.high) for field in grown}) > 1:
        return None
    clean = tuple(map(any, zip(*(field.clean for field in grown), strict=True)))
    return dataclasses.replace(grown[0], clean=clean)


def _split(operation, facts):
    (fields,) = facts
    axis, start, seen = operation.options["axis"], 0, []
    for size in operation.options["sizes"]:
        part = functools.partial(sliced, start=start, stop=start + size)
        seen.append(
            _each(
                fields,
                lambda field, part=part: part(field) if field.axis == axis else field,
            )
        )
        start += size
    return seen


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
                return dropped(field) if len(field.clean) == 1 else everything(field)
            return moved_to(field, places.get(field.axis))

        seen.append(_each(fields, one))
    return [tuple(map(hull, zip(*seen, strict=True)))]


def _along(operation, field, axes):
    """What entries see of which each may see all the others along these axes."""
    return widened(field) if field.axis in axes else field


def _gather(operation, field):
    if field.axis is None:
        return field
    numbers, sizes = (
        operation.options["dimension_numbers"],
        operation.options["slice_sizes"],
    )
    gone = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    # A slice as long as its axis has nowhere to go.
    if field.axis in gone or sizes[field.axis] != len(field.clean):
        return None
    kept = [axis for axis in range(len(sizes)) if axis not in gone]
    return moved_to(field, numbers.offset_dims[kept.index(field.axis)])


def _dynamic_slice(operation, field):
    if field.axis is None:
        return field
    size = operation.options["slice_sizes"][field.axis]
    return field if size == len(field.clean) else None


def _top_k(operation, field):
    axis = operation.options.get("axis", len(operation.inputs[0].shape) - 1)
    if field.axis != axis:
        return field
    return widened(field, entries=operation.outputs[0].shape[axis])


def _axes_option(operation, field):
    return _reduced(field, operation.options["axes"])


def _cumulative(operation, field):
    return _along(operation, field, (operation.options["axis"],))


def _sort(operation, facts):
    fields = [fact for fact in facts if fact is not None]
    joined = tuple(map(hull, zip(*fields, strict=True)))
    axes = (operation.options["dimension"],)
    seen = _each(joined, lambda field: _along(operation, field, axes))
    return [seen] * len(operation.outputs)


def _fft(operation, field):
    rank = len(operation.inputs[0].shape)
    count = len(operation.options["fft_lengths"])
    if field.axis is not None and field.axis >= rank - count:
        if operation.outputs[0].shape[field.axis] != len(field.clean):
            return None
    return _along(operation, field, range(rank - count, rank))


RULES = {
    "broadcast_in_dim": _on_first(_broadcast),
    "concatenate": _concatenate,
    "dot_general": _dot_general,
    "dynamic_slice": _on_first(_dynamic_slice),
    "fft": _on_first(_fft),
    "gather": _on_first(_gather),
    "pad": _on_first(_pad),
    "reshape": _reshape,
    "rev": _on_first(_reverse),
    "slice": _on_first(_slice),
    "sort": _sort,
    "split": _split,
    "squeeze": _on_first(
        lambda operation, field: _reduced(field, operation.options["dimensions"])
    ),
    "top_k": _on_first(_top_k),
    "transpose": _on_first(_transpose),
    **dict.fromkeys(
        ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"),
        _on_first(_cumulative),
    ),
    **dict.fromkeys(
        (
            "argmax",
            "argmin",
            "reduce_and",
            "reduce_max",
            "reduce_min",
            "reduce_or",
            "reduce_prod",
            "reduce_sum",
            "reduce_xor",
        ),
        _on_first(_axes_option),
    ),
}
