"""What is known where windows slide over a map, and of cnnlab's operators.

A rule takes an operation and its operands along one spatial axis of the image, and
gives the tracks of the results; None where the operation is not what its name says.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp

from cnnlab.diagnostics.geometry.axis_rules import on_first
from cnnlab.diagnostics.geometry.facts import Operand
from cnnlab.diagnostics.geometry.track import Track
from cnnlab.diagnostics.geometry.tracks import (
    changed,
    lost,
    placed,
    refined,
    resampled,
    sampled,
    settled,
    uncut,
)
from cnnlab.diagnostics.mixing_fields import axes_of_result
from cnnlab.diagnostics.operation import Operation
from cnnlab.diagnostics.sliding import Window
from cnnlab.diagnostics.windows_of import (
    result_shape,
    spatial_windows,
    windows_of,
)

OperatorRule = Callable[[Operation, Sequence[Operand]], list[Track] | None]

# What these make of a window does not depend on the order of its entries.
_ORDERLESS = {
    "avg_pool",
    "l2_pool",
    "lip_pool",
    "log_sum_exp_pool",
    "lp_pool",
    "max_pool",
    "median_pool",
    "min_pool",
    "mixed_pool",
    "reduce_window_max",
    "reduce_window_min",
    "reduce_window_sum",
    "soft_pool",
    "stochastic_pool",
}
_FILL = {
    "zero": "pads the map with zeros",
    "reflect": "pads the map with its mirror image",
    "edge": "pads the map with its edge",
}


def windowed(operation: Operation, operands: Sequence[Operand]) -> list[Track] | None:
    """The rule of windows whose entries make one entry, by the same law everywhere."""
    windows = windows_of(operation)
    if windows is None:
        return None
    if draws(operation):
        return [lost(_mover(operands), "draws at random")] * len(operation.outputs)
    return on_first(lambda operation, first: _slid(operation, first, windows))(
        operation, operands
    )


def draws(operation: Operation) -> bool:
    """Whether an operator is given a key; its weights are no integers."""
    return operation.operator and any(
        not jnp.issubdtype(value.dtype, jnp.floating) for value in operation.inputs[1:]
    )


def _mover(operands):
    return next(operand.track for operand in operands if operand.track.moves)


def _slid(operation, operand, windows):
    axes, mixed = axes_of_result(operation)
    if operation.name == "convolution":
        # Each copy of the map has a kernel of its own.
        mixed = mixed | {0}
    track, window = operand.track, windows.get(operand.track.axis)
    if not track.apart.isdisjoint({*windows, *mixed}) or track.axis in mixed:
        return lost(track, "weighs every place of the map by itself")
    track = placed(track, axes.__getitem__, "")
    if window is None:
        return track
    places = operation.outputs[0].shape[track.axis]
    if operation.name in _ORDERLESS and _is_whole(window, places):
        return settled(operand.track, operand.shape)
    return _under(track, operand, window, places)


def _is_whole(window: Window, places: int) -> bool:
    entire = window.dilation == window.spread == 1 and window.extent == window.size
    return entire and places == 1 and window.padding == (0, 0)


def _under(track: Track, operand: Operand, window: Window, places: int) -> Track:
    low = window.padding[0]
    last = (places - 1) * window.stride + (window.extent - 1) * window.dilation - low
    if low > 0 or last > (operand.entries - 1) * window.spread:
        if window.boundary != "circular":
            return lost(track, _FILL[window.boundary])
        if not operand.track.goes_around(operand.shape):
            of = "goes on around what is no torus"
            return uncut(operand.track, operand.shape, of)
    if window.spread > 1:
        track = refined(track, window.spread)
    return sampled(track, window.stride, -low)


def over_all(operation: Operation, operands: Sequence[Operand]) -> list[Track] | None:
    """The rule of a reduction of all entries of a map, in whatever order."""
    window, x = operation.options["window_shape"], operation.inputs[0].shape
    axes = len(window)
    if x[-axes - 1 : -1] != window or operation.outputs[0].shape[:-1] != x[: -axes - 1]:
        return None

    def rule(operation, operand):
        batch = len(operand.shape) - axes - 1
        if batch <= operand.track.axis < batch + axes:
            return settled(operand.track, operand.shape)
        return placed(
            operand.track, lambda axis: axis if axis < batch else None, "mixes features"
        )

    return on_first(rule)(operation, operands)


def adaptive(operation: Operation, operands: Sequence[Operand]) -> list[Track] | None:
    """The rule of regions that cover the map, as many as asked for."""
    sizes, x = operation.options["output_shape"], operation.inputs[0].shape
    expected = (*x[: -len(sizes) - 1], *sizes, x[-1])
    if operation.outputs[0].shape != expected:
        return None

    def rule(operation, operand):
        track, first = operand.track, len(operand.shape) - len(sizes) - 1
        if not first <= track.axis < first + len(sizes):
            return changed(track)
        count = sizes[track.axis - first]
        if count == 1:
            return settled(track, operand.shape)
        if operand.entries % count:
            return lost(track, f"makes {count} regions of {operand.entries} entries")
        return sampled(track, operand.entries // count)

    return on_first(rule)(operation, operands)


def spectral(operation: Operation, operands: Sequence[Operand]) -> list[Track] | None:
    """The rule of what keeps the low waves of a torus."""
    windows = spatial_windows(operation)
    if windows is None or not _is_map_under(operation, windows):
        return None
    return _resampling(operation, operands, windows)


def _is_map_under(operation, windows):
    (out,) = operation.outputs
    shape = (*result_shape(operation, windows), operation.inputs[0].shape[-1])
    return out.shape == shape


def ideal(operation: Operation, operands: Sequence[Operand]) -> list[Track] | None:
    """The rule of resampling by a factor."""
    rank = len(operation.inputs[0].shape)
    spatial = range(rank - operation.options["axes"] - 1, rank - 1)
    return _resampling(operation, operands, spatial)


def _resampling(operation, operands, spatial):
    def rule(operation, operand):
        track = operand.track
        if track.axis == len(operand.shape) - 1 or not track.apart.isdisjoint(spatial):
            return lost(track, "resamples another axis")
        if track.axis not in spatial:
            return changed(track)
        track = uncut(track, operand.shape, "takes for a torus what is none")
        if not track.moves:
            return track
        after = operation.outputs[0].shape[track.axis]
        return resampled(track, operand.entries, after)

    return on_first(rule)(operation, operands)


def transposed(operation: Operation, operands: Sequence[Operand]) -> list[Track] | None:
    """The rule of a transposed convolution on a torus."""
    windows = spatial_windows(operation)
    if windows is None or operation.options["boundary"] != "circular":
        return None
    channels = len(operation.inputs[0].shape) - 1

    def rule(operation, operand):
        track = operand.track
        if track.axis == channels or not track.apart.isdisjoint({*windows, channels}):
            return lost(track, "weighs every place of the map by itself")
        window = windows.get(track.axis)
        if window is None:
            return changed(track)
        after = operation.outputs[0].shape[track.axis]
        if after != operand.entries * window.stride:
            return lost(track, f"folds its result into {after} entries")
        track = uncut(track, operand.shape, "takes for a torus what is none")
        if not track.moves:
            return track
        return refined(track, window.stride) if window.stride > 1 else changed(track)

    return on_first(rule)(operation, operands)


RULES: dict[str, OperatorRule] = {
    "adaptive_avg_pool": adaptive,
    "adaptive_max_pool": adaptive,
    "conv_transpose": transposed,
    "global_avg_pool": over_all,
    "global_concat_pool": over_all,
    "global_max_pool": over_all,
    "ideal_downsample": ideal,
    "ideal_upsample": ideal,
    "spectral_pool": spectral,
}
