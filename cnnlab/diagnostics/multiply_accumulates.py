"""How many multiply-accumulates an operation takes."""

import math

from cnnlab.diagnostics.operation import Operation, Program
from cnnlab.diagnostics.windows_of import filter_sizes, spatial_windows, windows_of


def multiply_accumulates(operation: Operation) -> int:
    """Products of two computed numbers that are summed, in one run of the operation.

    - a convolution: entries of its result times taps times channels per group, those
      on padding counted; a transposed one: entries of its *operand* times taps times
      features per group;
    - a product of matrices: entries of its result times what is summed over;
    - a filter (`blur_pool` and its kin): entries of its result times taps;
    - any other operator: what the convolutions and products inside of it take, such as
      the logits of `lip_pool`; the gate of `gated_pool` takes its window once;
    - everything else, as sums, maxima, normalisations and all that is done entry by
      entry: none.
    """
    rule = (_OPERATORS if operation.operator else _PRIMITIVES).get(operation.name)
    own = rule(operation) if rule is not None else None
    if own is not None:
        return own
    return total(operation.bodies[0]) if operation.operator else 0


def total(program: Program) -> int:
    """The multiply-accumulates of a program; of branches, those of the costliest."""
    return sum(
        step.times * multiply_accumulates(step.operation)
        for step in program.steps(total)
    )


def _convolution(operation: Operation) -> int | None:
    if windows_of(operation) is None:
        return None
    kernel = operation.inputs[1].shape
    return operation.outputs[0].size * math.prod(kernel[:-1])


def _transposed(operation: Operation) -> int | None:
    x, kernel = operation.inputs
    if len(operation.outputs) > 1 or x.shape[-1] != kernel.shape[-1]:
        return None
    return x.size * math.prod(kernel.shape[:-1])


def _filtered(operation: Operation) -> int | None:
    windows = spatial_windows(operation)
    if windows is None or len(operation.outputs) > 1:
        return None
    taps = math.prod(window.extent for window in windows.values())
    return operation.outputs[0].size * taps


def _blurred(operation: Operation) -> int | None:
    windows = spatial_windows(operation)
    if windows is None or len(operation.outputs) > 1:
        return None
    taps = math.prod(filter_sizes(operation, len(windows)))
    inside = total(operation.bodies[0])
    return operation.outputs[0].size * taps + inside


def _filtered_and_inside(operation: Operation) -> int | None:
    own = _filtered(operation)
    return None if own is None else own + total(operation.bodies[0])


def _stock_convolution(operation: Operation) -> int:
    options, (x, kernel) = operation.options, operation.inputs
    layout = options["dimension_numbers"]
    features, channels, *window = (kernel.shape[axis] for axis in layout.rhs_spec)
    if set(options["lhs_dilation"]) != {1}:
        groups = options["feature_group_count"] * options["batch_group_count"]
        return x.size * math.prod(window) * features // groups
    return operation.outputs[0].size * math.prod(window) * channels


def _trilinear(operation: Operation) -> int:
    """cnnlab's own primitive: the convolution, or one of its gradients."""
    left, right = (value.shape for value in operation.inputs)
    out = operation.outputs[0].shape
    kernel, y = {
        "y": (right, out),
        "x": (left, right),
        "kernel": (out, right),
    }[operation.options["result"]]
    return math.prod(y) * math.prod(kernel[1:-1])


def _matrix_product(operation: Operation) -> int:
    (contracted, _), _ = operation.options["dimension_numbers"]
    left = operation.inputs[0].shape
    summed = math.prod(left[axis] for axis in contracted)
    return operation.outputs[0].size * summed


_OPERATORS = {
    "adaptive_blur_pool": _filtered_and_inside,
    "avg_blur_pool": _blurred,
    "blur_pool": _filtered,
    "conv": _convolution,
    "conv_blur": _blurred,
    "conv_im2col": _convolution,
    "conv_transpose": _transposed,
    "gated_pool": _filtered,
    "input_gradient": _transposed,
    "max_blur_pool": _blurred,
}
_PRIMITIVES = {
    "conv_general_dilated": _stock_convolution,
    "convolution": _trilinear,
    "dot_general": _matrix_product,
}
