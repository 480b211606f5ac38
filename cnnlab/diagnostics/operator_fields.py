"""What cnnlab's operators let each entry see, besides convolutions and local pools.

A rule takes the operation and the fields of its first operand. It gives None where the
operator is not called as its name says; what it is made of then decides, as it does for
every operator without a rule.
"""

import dataclasses
from collections.abc import Callable
from fractions import Fraction

from cnnlab.diagnostics.program import Operation
from cnnlab.diagnostics.receptive_field import Field, Window, slide, widened
from cnnlab.diagnostics.windows_of import spatial_windows


def _entrywise(operation: Operation, fields):
    """Each entry its own."""
    x = operation.inputs[0].shape
    return fields if all(value.shape == x for value in operation.outputs) else None


def _along_windows(operation, fields, rule: Callable[[Field, Window, int], Field]):
    """A rule for each windowed axis; the others keep their fields."""
    windows = spatial_windows(operation)
    if windows is None:
        return None
    shape, before = operation.outputs[0].shape, operation.inputs[0].shape
    if len(shape) != len(before):
        return None

    def one(field):
        window = windows.get(field.axis)
        return field if window is None else rule(field, window, shape[field.axis])

    return tuple(field and one(field) for field in fields)


def _blurred(operation, fields):
    """Windows at stride 1, blurred by a filter at the strides."""
    options = operation.options
    windows = spatial_windows(operation)
    if windows is None:
        return None
    sizes = options.get("filter_size") or 3
    sizes = (sizes,) * len(windows) if isinstance(sizes, int) else tuple(sizes)
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
    windows = spatial_windows(operation)
    if windows is None:
        return None
    shape = operation.outputs[0].shape

    def one(field, window, entries):
        covered = (window.extent - 1) * window.dilation
        low = covered - window.padding[0]
        back = Window(
            window.size,
            window.extent,
            1,
            (low, entries + low - 1),
            window.dilation,
            window.boundary if window.boundary == "zero" else "edge",
            spread=window.stride,
        )
        return slide(field, back, entries)

    if len(shape) != len(operation.inputs[0].shape) or len(operation.outputs) > 1:
        return None
    if any(windows[axis].boundary != "zero" for axis in windows):
        # What arrives on the padding goes back to where it was copied from.
        return None
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
    "local_response_norm": _entrywise,
    "max_blur_pool": _blurred,
    "max_unpool": _transposed,
    "spectral_pool": _resampled,
}
