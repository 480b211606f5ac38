"""What is seen where JAX's primitives move entries, or lay them out anew.

A rule takes an operation and the fields of its operands, and gives those of its
results.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator

import numpy as np

from cnnlab.diagnostics.field_rules import each, on_first
from cnnlab.diagnostics.receptive_field import (
    Field,
    dropped,
    everything,
    hull,
    merged,
    moved,
    padded,
    reversed_order,
    sliced,
    split,
    stretched,
    without,
)


def _broadcast(operation, field):
    if field.axis is None:
        return field
    axis = operation.options["broadcast_dimensions"][field.axis]
    entries = operation.options["shape"][axis]
    if entries == len(field.clean):
        return moved(field, axis)
    return stretched(field, axis, entries)


def _transpose(operation, field):
    if field.axis is None:
        return field
    return moved(field, operation.options["permutation"].index(field.axis))


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
    config = operation.options["padding_config"][field.axis]
    return padded(field, *config) if any(config) else field


def _squeeze(operation, field):
    gone = operation.options["dimensions"]
    return dropped(field) if field.axis in gone else without(field, gone)


def _reverse(operation, field):
    is_reversed = field.axis in operation.options["dimensions"]
    return reversed_order(field) if is_reversed else field


def _reshape(operation, facts):
    (fields, *others) = facts
    before, after = operation.inputs[0].shape, operation.outputs[0].shape
    if any(others) or operation.options["dimensions"] or 0 in before:
        return [(None,) * len(next(filter(None, facts)))]
    places = {axis: group for group in axis_groups(before, after) for axis in group[0]}
    spatial = {field.axis for field in fields if field is not None}

    def one(field):
        if field.axis is None:
            return field
        old, new = places[field.axis]
        if len(field.clean) == 1:
            kept = (len(old), len(new)) == (1, 1)
            return moved(field, new[0]) if kept else dropped(field)
        old = [axis for axis in old if before[axis] > 1]
        new = [axis for axis in new if after[axis] > 1]
        if old == [field.axis]:
            return split(field, after[new[0]], new[0])
        if old[0] == field.axis and len(new) == 1 and spatial.isdisjoint(old[1:]):
            return merged(field, math.prod(before[axis] for axis in old[1:]), new[0])
        return everything(field)

    return [each(fields, one)]


def axis_groups(before, after) -> Iterator[tuple[list[int], list[int]]]:
    """The axes of two shapes in the smallest groups of equal sizes, in order."""
    i = j = 0
    while i < len(before) or j < len(after):
        ones = [i < len(before) and before[i] == 1, j < len(after) and after[j] == 1]
        if any(ones):
            old, new = ([i] if ones[0] else []), ([j] if ones[1] else [])
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
    start, total, pieces = 0, operation.outputs[0].shape[axis], []
    for value, fact in zip(operation.inputs, facts, strict=True):
        end = start + value.shape[axis]
        if fact is not None and end > start:
            pieces.append((fact, start, total - end))
        start = end
    if not pieces:
        return [None]
    seen = []
    for i in range(len(pieces[0][0])):
        placed = [(fact[i], low, high) for fact, low, high in pieces]
        along = [field for field, _, _ in placed]
        is_axis = None not in along and any(field.axis == axis for field in along)
        seen.append(_laid_out(placed, axis) if is_axis else hull(along))
    return [tuple(seen)]


def _laid_out(pieces, axis) -> Field | None:
    """What the entries of pieces see that are laid after one another.

    What lies beside them all is padding.
    """
    if any(field.axis != axis for field, _, _ in pieces):
        return None
    longest, low, high = max(pieces, key=lambda piece: len(piece[0].clean))
    main = padded(longest, low, high)
    clean = np.zeros(len(main.clean), bool)
    for field, low, high in pieces:
        piece = padded(field, low, high)
        if (piece.stride, piece.extent) != (main.stride, main.extent):
            return None
        apart = piece.low - main.low if piece.low != main.low else 0
        # Of one map, the pieces may go on from its one end at the other: it is a torus.
        once = field.around if field.around == longest.around else 0
        if apart and (not once or apart % once):
            return None
        clean |= piece.clean
    return dataclasses.replace(main, clean=tuple(clean.tolist()))


def _split(operation, facts):
    (fields,) = facts
    axis, stop, seen = operation.options["axis"], 0, []
    for size in operation.options["sizes"]:
        start, stop = stop, stop + size
        part = functools.partial(_part, axis=axis, start=start, stop=stop)
        seen.append(each(fields, part))
    return seen


def _part(field, *, axis, start, stop):
    return sliced(field, start, stop) if field.axis == axis else field


def _gather(operation, field):
    if field.axis is None:
        return field
    options = operation.options
    numbers, sizes = options["dimension_numbers"], options["slice_sizes"]
    gone = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    # A slice as long as its axis has nowhere to go.
    if field.axis in gone or sizes[field.axis] != len(field.clean):
        return None
    kept = [axis for axis in range(len(sizes)) if axis not in gone]
    return moved(field, numbers.offset_dims[kept.index(field.axis)])


def _dynamic_slice(operation, field):
    if field.axis is None:
        return field
    size = operation.options["slice_sizes"][field.axis]
    return field if size == len(field.clean) else None


RULES = {
    "broadcast_in_dim": on_first(_broadcast),
    "concatenate": _concatenate,
    "dynamic_slice": on_first(_dynamic_slice),
    "gather": on_first(_gather),
    "pad": on_first(_pad),
    "reshape": _reshape,
    "rev": on_first(_reverse),
    "slice": on_first(_slice),
    "split": _split,
    "squeeze": on_first(_squeeze),
    "transpose": on_first(_transpose),
}
