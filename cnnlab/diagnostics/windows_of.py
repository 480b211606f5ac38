"""The windows that operations move along axes, read from their geometry."""

import math
from collections.abc import Collection

from cnnlab.diagnostics.operation import Operation
from cnnlab.diagnostics.sliding import Window
from cnnlab.ops import pools

# Operators, besides local pools, whose result sees the windows of their first operand.
_BY_WINDOWS = {"conv", "conv_im2col", "im2col", "max_pool_with_switches"}
_CONVOLUTIONS = {"conv", "conv_im2col"}


def windows_of(operation: Operation) -> dict[int, Window] | None:
    """For each axis of the first operand that is windowed, its window.

    None where the operation is no row of windows, or is not called in the way in which
    its name is meant (as in a derivative, which keeps the name).
    """
    if operation.operator:
        return _operator(operation)
    read = _PRIMITIVES.get(operation.name)
    return read and read(operation)


def is_local_pool(name: str) -> bool:
    """Whether it is a registered pool whose every entry sees its own window alone."""
    traits = getattr(pools.get(name), "traits", None)
    return traits is not None and traits.local


def spatial_windows(operation: Operation) -> dict[int, Window] | None:
    """The windows that an operator's call names, whatever is made of them."""
    options, x = operation.options, operation.inputs[0]
    try:
        lengths = options["window_shape"], options["strides"], options["padding"]
        boundary = options["boundary"]
    except KeyError:
        return None
    rank = len(lengths[0])
    first = len(x.shape) - rank - 1
    if first < 0:
        return None
    dilation = options.get("dilation", (1,) * rank)
    return {
        axis: Window(x.shape[axis], extent, stride, tuple(pair), step, boundary)
        for axis, extent, stride, pair, step in zip(
            range(first, first + rank), *lengths, dilation, strict=True
        )
    }


def filter_sizes(operation: Operation, rank: int) -> tuple[int, ...]:
    """Of a blurring operator, the sizes of the filter."""
    sizes = operation.options.get("filter_size", 3)
    return (sizes,) * rank if isinstance(sizes, int) else tuple(sizes)


def result_shape(operation: Operation, windows: dict[int, Window]) -> tuple[int, ...]:
    """The shape of a map under these windows, but for its channels."""
    shape = list(operation.inputs[0].shape[:-1])
    for axis, window in windows.items():
        shape[axis] = math.floor(window.positions)
    return tuple(shape)


def _operator(operation):
    if operation.name not in _BY_WINDOWS and not is_local_pool(operation.name):
        return None
    windows = spatial_windows(operation)
    if windows is None:
        return None
    if operation.name in _CONVOLUTIONS and not _is_convolution(operation, windows):
        return None
    expected = result_shape(operation, windows)
    if any(value.shape[:-1] != expected for value in operation.outputs):
        return None
    return windows


def _is_convolution(operation, windows):
    if len(operation.inputs) != 2:
        return False
    x, kernel = (value.shape for value in operation.inputs)
    return (
        len(kernel) == len(windows) + 2
        and kernel[:-2] == tuple(window.extent for window in windows.values())
        and kernel[-2] * operation.options["groups"] == x[-1]
        and kernel[-1] == operation.outputs[0].shape[-1]
    )


def _convolution(operation):
    options = operation.options
    x, kernel = (value.shape for value in operation.inputs)
    layout = options["dimension_numbers"]
    return {
        axis: Window(x[axis], kernel[along], stride, tuple(pair), step, spread=spread)
        for axis, along, stride, pair, step, spread in zip(
            layout.lhs_spec[2:],
            layout.rhs_spec[2:],
            options["window_strides"],
            options["padding"],
            options["rhs_dilation"],
            options["lhs_dilation"],
            strict=True,
        )
    }


def _reduce_window(operation):
    options, shape = operation.options, operation.inputs[0].shape
    lengths = (
        options["window_dimensions"],
        options["window_strides"],
        options["padding"],
        options["window_dilation"],
        options["base_dilation"],
    )
    return {
        axis: Window(size, extent, stride, tuple(pair), step, spread=spread)
        for axis, (size, extent, stride, pair, step, spread) in enumerate(
            zip(shape, *lengths, strict=True)
        )
        if (extent, stride, tuple(pair)) != (1, 1, (0, 0))
    }


def _own_convolution(operation):
    """cnnlab's own primitive, which derivatives are made of too."""
    form, result = operation.options["form"], operation.options["result"]
    if result != "y":
        return None
    return {
        axis: Window(size, extent, stride, tuple(pair), step)
        for axis, (size, extent, stride, pair, step) in enumerate(form.axes(), 2)
    }


_PRIMITIVES = {
    "conv_general_dilated": _convolution,
    "convolution": _own_convolution,
    "reduce_window": _reduce_window,
    "reduce_window_max": _reduce_window,
    "reduce_window_min": _reduce_window,
    "reduce_window_sum": _reduce_window,
}


def fractional_windows(operation: Operation, axes: Collection[int]) -> tuple[str, ...]:
    """The arithmetic of the windows along `axes` whose places are no whole number.

    Their strides end short of the (padded) map: its last entries are in no window. The
    samples of a strided slice count as windows of one entry.
    """
    windows = (
        _sampled(operation) if operation.name == "slice" else windows_of(operation)
    )
    found = (
        window.arithmetic()
        for axis, window in (windows or {}).items()
        if axis in axes and window.positions.denominator > 1
    )
    return tuple(dict.fromkeys(found))


def _sampled(operation):
    options = operation.options
    starts, stops, strides = (
        options[name] for name in ("start_indices", "limit_indices", "strides")
    )
    if operation.operator or strides is None:
        return None
    return {
        axis: Window(stop - start, 1, stride)
        for axis, (start, stop, stride) in enumerate(
            zip(starts, stops, strides, strict=True)
        )
    }
