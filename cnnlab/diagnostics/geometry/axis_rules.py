"""What is known where JAX's primitives cut, lay out and put together entries.

A rule takes an operation and its operands along one spatial axis of the image, of which
at least one moves, and gives the tracks of the results.
"""

from collections.abc import Callable, Sequence

from cnnlab.diagnostics.geometry.facts import Operand
from cnnlab.diagnostics.geometry.track import Track, Whole
from cnnlab.diagnostics.geometry.tracks import (
    changed,
    lost,
    placed,
    refined,
    sampled,
    settled,
    together,
    within,
)
from cnnlab.diagnostics.moving_fields import axis_groups
from cnnlab.diagnostics.operation import Operation

Rule = Callable[[Operation, Sequence[Operand]], list[Track]]


def on_first(rule: Callable[[Operation, Operand], Track]) -> Rule:
    """A rule whose first operand alone may move."""

    def apply(operation, operands):
        first, *others = (operand.track for operand in operands)
        moving = next((track for track in others if track.moves), None)
        if moving is not None:
            track = lost(moving, "depends on the moving image in another operand")
        else:
            track = within(rule(operation, operands[0]), others)
        return [track] * len(operation.outputs)

    return apply


def _broadcast(operation, operand):
    axes, shape = (
        operation.options[name] for name in ("broadcast_dimensions", "shape")
    )
    track = operand.track
    if operand.shape[track.axis] != shape[axes[track.axis]]:
        return settled(track, operand.shape)
    return placed(track, axes.__getitem__, "")


def _transpose(operation, operand):
    order = operation.options["permutation"]
    return placed(operand.track, order.index, "")


def _reverse(operation, operand):
    track, turned = operand.track, set(operation.options["dimensions"])
    if track.axis in turned:
        return lost(track, "reverses the map")
    if track.apart & turned:
        return lost(track, "reverses the batch")
    return changed(track)


def _squeeze(operation, operand):
    gone = operation.options["dimensions"]
    if operand.track.axis in gone:
        return settled(operand.track, operand.shape)
    return without(operand.track, gone)


def without(track: Track, gone: Sequence[int]) -> Track:
    """The track of a value without these axes, of which its own is none."""

    def place(axis):
        return None if axis in gone else axis - sum(other < axis for other in gone)

    return placed(track, place, "mixes what moves by different amounts")


def _slice(operation, operand):
    options = operation.options
    steps = options["strides"] or (1,) * len(operand.shape)
    bounds = zip(options["start_indices"], options["limit_indices"], steps, strict=True)
    return _cut(operand, list(bounds))


def _cut(operand: Operand, bounds: Sequence[tuple[int, int, int]]) -> Track:
    track = operand.track
    partial = {
        axis
        for axis, (size, bound) in enumerate(zip(operand.shape, bounds, strict=True))
        if bound != (0, size, 1)
    }
    if track.apart & partial:
        return lost(track, "keeps a part of the batch")
    if track.axis not in partial:
        return changed(track)
    start, _, stride = bounds[track.axis]
    # A piece that is cut along other axes too is one of another map.
    whole = _whole(track) if partial == {track.axis} else None
    return sampled(track, stride, start, whole)


def _whole(track: Track) -> Whole:
    return Whole(track) if track.whole is None else track.whole


def _split(operation, operands):
    (operand,), axis = operands, operation.options["axis"]
    stop, parts = 0, []
    for size in operation.options["sizes"]:
        start, stop = stop, stop + size
        bounds = [(0, entries, 1) for entries in operand.shape]
        bounds[axis] = (start, stop, 1)
        parts.append(_cut(operand, bounds))
    return parts


def _pad(operation, operands):
    track, others = operands[0].track, [operand.track for operand in operands[1:]]
    config = operation.options["padding_config"]
    if any(other.moves for other in others) or not track.moves:
        return [lost(track, "pads with what moves")]
    if any(any(config[axis]) for axis in track.apart):
        return [lost(track, "pads the batch")]
    low, high, interior = config[track.axis]
    if low > 0 or high > 0:
        return [lost(track, "pads the map with what does not continue it")]
    if interior:
        track = refined(track, interior + 1)
    if any((low, high, interior)):
        track = sampled(track, 1, -low)
    return [within(changed(track), others)]


def _concatenate(operation, operands):
    axis = operation.options["dimension"]
    pieces = [operand for operand in operands if operand.shape[axis]]
    first = pieces[0].track
    movers = [piece.track for piece in pieces if piece.track.moves]
    if any(axis in track.apart for track in movers):
        return [lost(first, "puts batches together")]
    if any(track.axis == axis for track in movers):
        if not _goes_on(pieces, axis):
            return [lost(first, "puts together what does not continue the map")]
        return [within(changed(first), [piece.track for piece in pieces])]
    return [_side_by_side(pieces)]


def _side_by_side(pieces: Sequence[Operand]) -> Track:
    return together(
        [piece.track for piece in pieces], [piece.is_uniform for piece in pieces]
    )


def _goes_on(pieces: Sequence[Operand], axis: int) -> bool:
    """Whether each piece begins where the one before it ended, on the same map."""
    first = pieces[0].track
    if first.axis != axis:
        return False
    end, whole = first.phase, _whole(first)
    for piece in pieces:
        track = piece.track
        same = (track.axis, track.stride, _whole(track)) == (axis, first.stride, whole)
        if not same or (track.phase - end) % first.around:
            return False
        end = track.phase + track.stride * piece.entries
    return True


def _reshape(operation, operand):
    track, before = operand.track, operand.shape
    after = operation.outputs[0].shape
    if operation.options["dimensions"] or 0 in before:
        return lost(track, "lays entries out anew")
    places = {axis: group for group in axis_groups(before, after) for axis in group[0]}
    old, new = places[track.axis]
    if before[track.axis] == 1 and (len(old), len(new)) != (1, 1):
        return settled(track, before)
    old = [axis for axis in old if before[axis] > 1] or old
    new = [axis for axis in new if after[axis] > 1] or new
    if old[0] != track.axis:
        return lost(track, "lays the map out in one row with other axes")

    def place(axis):
        if axis == track.axis:
            return new[0]
        group = places[axis]
        return group[1][0] if (len(group[0]), len(group[1])) == (1, 1) else None

    moved = placed(track, place, "lays the batch out in one row with other axes")
    if not moved.moves or (len(old) == 1 and len(new) == 1):
        return moved
    if len(old) == 1:
        return sampled(moved, before[track.axis] // after[new[0]])
    if len(new) == 1:
        return refined(moved, after[new[0]] // before[track.axis])
    return lost(track, "lays the map out in one row with other axes")


def _gather(operation, operand):
    numbers, sizes = (
        operation.options[name] for name in ("dimension_numbers", "slice_sizes")
    )
    gone = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    kept = [axis for axis in range(len(sizes)) if axis not in gone]

    def place(axis):
        # A slice as long as its axis has nowhere to go.
        if axis in gone or sizes[axis] != operand.shape[axis]:
            return None
        return numbers.offset_dims[kept.index(axis)]

    return placed(operand.track, place, "gathers entries by their places")


def _dynamic_slice(operation, operand):
    sizes, track = operation.options["slice_sizes"], operand.track
    if any(sizes[axis] != operand.shape[axis] for axis in track.apart):
        return lost(track, "keeps a part of the batch")
    # Where it begins does not depend on the image: it is as good as any place.
    return changed(track)


def _handed_through(operation, operands):
    return [changed(operand.track) for operand in operands]


RULES: dict[str, Rule] = {
    "broadcast_in_dim": on_first(_broadcast),
    "concatenate": _concatenate,
    "device_put": _handed_through,
    "dynamic_slice": on_first(_dynamic_slice),
    "gather": on_first(_gather),
    "optimization_barrier": _handed_through,
    "pad": _pad,
    "reshape": on_first(_reshape),
    "rev": on_first(_reverse),
    "sharding_constraint": _handed_through,
    "slice": on_first(_slice),
    "split": _split,
    "squeeze": on_first(_squeeze),
    "transpose": on_first(_transpose),
}
