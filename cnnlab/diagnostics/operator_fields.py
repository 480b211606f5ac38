"""What cnnlab's operators let each entry see, besides convolutions and local pools.

A rule takes the operation and the fields of its first operand. It gives None where the
operator is not called as its name says; what it is made of then decides, as it does for
every operator without a rule.
"""

import dataclasses
from collections.abc import Callable
from fractions import Fraction

from cnnlab.diagnostics.operation import Operation
from cnnlab.diagnostics.receptive_field import Field, widened
from cnnlab.diagnostics.sliding import Window, slide
from cnnlab.diagnostics.windows_of import filter_sizes, spatial_windows


def _entrywise(operation: Operation, fields):
    """Each entry its own."""
    x = operation.inputs[0].shape
    return fields if all(value.shape == x for value in operation.outputs) else None


def _across_channels(operation, fields):
    """Each entry its own, in all channels."""
    channels = len(operation.inputs[0].shape) - 1
    if any(field is not None and field.axis == channels for field in fields):
        return None
    return _entrywise(operation, fields)


def _along_windows(operation, fields, rule: Callable[[Field, Window, int], Field]):
    """A rule for each windowed axis; batch axes keep their fields."""
    windows = spatial_windows(operation)
    if windows is None or len(operation.outputs) > 1:
        return None
    shape = operation.outputs[0].shape
    channels = len(shape) - 1

    def one(field):
        window = windows.get(field.axis)
        if window is not None:
            return rule(field, window, shape[field.axis])
        return None if field.axis == channels else field

    return tuple(field and one(field) for field in fields)


def _blurred(operation, fields):
    """Windows at stride 1, blurred by a filter at the strides."""
    windows = spatial_windows(operation)
    if windows is None:
        return None
    sizes = filter_sizes(operation, len(windows))
    blurs = dict(zip(windows, sizes, strict=True))

    def one(field, window, entries):
        size = blurs[field.axis]
        dense = dataclasses.replace(window, stride=1)
        margins = (size - 1) // 2, size // 2
        places = int(dense.positions)
        if window.boundary != "zero":
            # The map is continued far enough for the blur to have no border.
            low, high = window.padding
            wider = low + margins[0], high + margins[1]
            dense = dataclasses.replace(dense, padding=wider)
            places += sum(margins)
            margins = 0, 0
        blur = Window(places, size, window.stride, margins)
        return slide(slide(field, dense, places), blur, entries)

    return _along_windows(operation, fields, one)


def _resampled(operation, fields):
    """Every entry of all, at a density of its own."""

    def one(field, window, entries):
        stride = field.stride * Fraction(window.size, entries)
        return widened(field, stride=stride, entries=entries)

    return _along_windows(operation, fields, one)


def _chosen(operation, fields):
    """Entries `strides` apart, from an offset that the whole map decides."""

    def one(field, window, entries):
        stride = field.stride * window.stride
        return widened(field, stride=stride, entries=entries)

    return _along_windows(operation, fields, one)


def _transposed(operation, fields):
    """Entries whose windows on the result hold the one that is asked for."""
    if operation.options.get("boundary") != "zero":
        # What arrives on the padding goes back to where it was copied from.
        return None

    def one(field, window, entries):
        before = (window.extent - 1) * window.dilation - window.padding[0]
        margins = before, entries - before
        back = dataclasses.replace(
            window, stride=1, padding=margins, spread=window.stride
        )
        return slide(field, back, entries)

    return _along_windows(operation, fields, one)


def _resampled_by(power: int):
    def rule(operation, fields):
        factor, axes = operation.options["factor"], operation.options["axes"]
        rank = len(operation.inputs[0].shape)
        spatial = range(rank - axes - 1, rank - 1)
        shape = operation.outputs[0].shape

        def one(field):
            if field.axis not in spatial:
                return field
            stride = field.stride * Fraction(factor) ** power
            return widened(field, stride=stride, entries=shape[field.axis])

        return tuple(field and one(field) for field in fields)

    return rule


RULES = {
    "adaptive_polyphase": _chosen,
    "avg_blur_pool": _blurred,
    "batch_norm": _entrywise,
    "conv_blur": _blurred,
    "conv_transpose": _transposed,
    "ideal_downsample": _resampled_by(1),
    "ideal_upsample": _resampled_by(-1),
    "learned_polyphase": _chosen,
    "local_response_norm": _across_channels,
    "max_blur_pool": _blurred,
    "max_unpool": _transposed,
    "spectral_pool": _resampled,
}
