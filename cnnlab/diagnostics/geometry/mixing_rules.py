"""What is known where JAX's primitives make one entry of several.

Rules are as in `axis_rules`.
"""

from collections.abc import Sequence

from cnnlab.diagnostics.geometry.axis_rules import Rule, on_first, without
from cnnlab.diagnostics.geometry.facts import Operand
from cnnlab.diagnostics.geometry.tracks import changed, lost, placed, settled, together
from cnnlab.diagnostics.mixing_fields import CUMULATIVE, REDUCTIONS

_BATCH = "mixes images that moved by different amounts"


def elementwise(operation, operands: Sequence[Operand]):
    """The rule of what treats every entry alone."""
    rank = len(operation.outputs[0].shape)
    tracks = []
    for operand in operands:
        track = operand.track
        if track.moves and operand.entries != operation.outputs[0].shape[track.axis]:
            track = settled(track, operand.shape)
        tracks.append(track if len(operand.shape) in (0, rank) else lost(track, ""))
    return [together(tracks, [operand.is_uniform for operand in operands])]


def _reduced(operation, operand):
    axes, track = operation.options["axes"], operand.track
    if track.axis in axes:
        return settled(track, operand.shape)
    if track.apart & set(axes):
        return lost(track, _BATCH)
    return without(track, axes)


def _place_of_largest(operation, operand):
    if operand.track.axis in operation.options["axes"]:
        return lost(operand.track, "gives a place on the map")
    return _reduced(operation, operand)


def _along(operation, operand, axes, why):
    if operand.track.axis in axes:
        return lost(operand.track, why)
    if operand.track.apart & set(axes):
        return lost(operand.track, _BATCH)
    return changed(operand.track)


def _cumulative(operation, operand):
    return _along(operation, operand, {operation.options["axis"]}, "sums up to a place")


def _top_k(operation, operand):
    axis = operation.options.get("axis", len(operand.shape) - 1)
    return _along(operation, operand, {axis}, "puts the entries in order")


def _fft(operation, operand):
    rank, count = len(operand.shape), len(operation.options["fft_lengths"])
    axes = set(range(rank - count, rank))
    return _along(operation, operand, axes, "takes the waves of the map")


def _sort(operation, operands):
    track = together(
        [operand.track for operand in operands],
        [operand.is_uniform for operand in operands],
    )
    axis = operation.options["dimension"]
    if track.moves and axis in {track.axis, *track.apart}:
        track = lost(track, "puts the entries in order")
    return [track] * len(operation.outputs)


def _dot_general(operation, operands):
    contracted, batched = operation.options["dimension_numbers"]
    count, sides, before = len(batched[0]), [], len(batched[0])
    for operand, gone, kept in zip(operands, contracted, batched, strict=True):
        free = [a for a in range(len(operand.shape)) if a not in (*gone, *kept)]
        places = {axis: i for i, axis in enumerate(kept)}
        places |= {axis: before + i for i, axis in enumerate(free)}
        before += len(free)
        track = operand.track
        if track.moves and track.axis in gone and operand.entries == 1:
            track = settled(track, operand.shape)
        sides.append(
            placed(track, places.get, "weighs every place of the map by itself")
        )
    movers = [track for track in sides if track.moves]
    if not movers:
        return [together(sides, ())]
    axis = movers[0].axis
    # Along a free axis the other operand has nothing to move.
    uniform = [
        axis >= count or operand.is_uniform(kept[axis])
        for operand, kept in zip(operands, batched, strict=True)
    ]
    if len(movers) == 2 and axis >= count:
        return [lost(movers[0], "compares every place of the map with every other")]
    return [together(sides, [lambda _, same=same: same for same in uniform])]


RULES: dict[str, Rule] = {
    "argmax": on_first(_place_of_largest),
    "argmin": on_first(_place_of_largest),
    "dot_general": _dot_general,
    "fft": on_first(_fft),
    "sort": _sort,
    "top_k": on_first(_top_k),
    **dict.fromkeys(CUMULATIVE, on_first(_cumulative)),
    **dict.fromkeys(REDUCTIONS, on_first(_reduced)),
}
