"""What a subsampling operation samples: its own result, were its strides 1."""

import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from cnnlab.diagnostics.operation import Operation
from cnnlab.diagnostics.windows_of import spatial_windows, windows_of
from cnnlab.ops import conv_blur, pools
from cnnlab.ops.convolution import conv

# The place of the samples that are kept among those of the dense map.
Offsets = Sequence[tuple[int, int]]

_CONVOLUTIONS: dict[str, Callable] = {
    "conv": conv,
    "conv_blur": conv_blur,
    "conv_im2col": conv,
}
_FOLDS = {
    "reduce_window_max": lax.max,
    "reduce_window_min": lax.min,
    "reduce_window_sum": lax.add,
}


def strides_of(operation: Operation, axes: tuple[int, int]) -> tuple[int, int] | None:
    """How many entries an operation keeps one of along `axes` of its first operand.

    Read from the options of cnnlab's operators and of JAX's convolutions, windows and
    slices; None where there are none to read, or both are 1.
    """
    strides = _strides(operation, axes)
    return strides if strides and max(strides) > 1 else None


def _strides(operation, axes):
    if operation.operator:
        strides = operation.options.get("strides")
        if operation.name == "polyphase_downsample":
            return strides if strides and len(strides) == 2 else None
        windows = spatial_windows(operation)
    elif operation.name == "slice":
        strides = operation.options["strides"]
        return strides and tuple(strides[axis] for axis in axes)
    else:
        windows = windows_of(operation)
    if windows is None or operation.name == "conv_transpose":
        return None
    if any(axis not in axes for axis in windows):
        return None
    return tuple(windows[axis].stride if axis in windows else 1 for axis in axes)


def dense_forms(
    operation: Operation,
    arrays: Sequence[Any],
    axes: tuple[int, int],
    around: bool,
) -> list[jax.Array]:
    """The dense maps of which the operation may keep samples.

    An operator of cnnlab, a convolution or a window of JAX is called at strides 1. Its
    result may be smaller than the map, as no window hangs over the end. There are
    several where a name leaves open what it stands for, and none where its options
    cannot be read back.

    Args:
        arrays: of the operation's inputs.
        axes: of its first operand, that are thinned.
        around: take the map for a torus, where it is not padded: the dense map then
            goes once around, over the windows across its end too.
    """
    dense = None
    if operation.name == "slice":
        dense = _unthinned(operation, arrays[0])
    elif operation.operator:
        try:
            dense = _operator(operation, arrays, axes, around)
        except (TypeError, ValueError):
            # An option that was a function, or one that only the strides allow.
            dense = None
    elif operation.name == "conv_general_dilated":
        dense = _convolution(operation, arrays, axes, around)
    elif operation.name in _FOLDS:
        dense = _folded(operation, arrays, axes, around)
    found = [] if dense is None else [dense]
    # A name tells no option that is None from one that was not given: it may be that
    # nothing is pooled.
    return [*found, arrays[0]] if _chooses(operation) else found


def offsets_of(operation: Operation, strides: tuple[int, int]) -> Offsets:
    """Where the first sample may lie on the dense map; a polyphase operator chooses."""
    places = map(range, strides if _chooses(operation) else (1, 1))
    return list(itertools.product(*places))


def _chooses(operation) -> bool:
    if operation.name == "polyphase_downsample":
        return True
    traits = getattr(pools.get(operation.name), "traits", None)
    return operation.operator and traits is not None and traits.shift_exact


def _unthinned(operation, x):
    options = operation.options
    return lax.slice(x, options["start_indices"], options["limit_indices"])


def _operator(operation, arrays, axes, around):
    function = _CONVOLUTIONS.get(operation.name, pools.get(operation.name))
    windows = spatial_windows(operation)
    if function is None or windows is None or len(operation.outputs) > 1:
        return None
    options = dict(operation.options)
    padding, boundary = options["padding"], options["boundary"]
    # What blurs reads beyond the map even where it is not padded.
    local = windows_of(operation) is not None
    if boundary == "circular" or (around and local and not any(map(any, padding))):
        room = _room(operation, windows, axes)
        boundary = "circular"
        padding = tuple(
            (low, high + room.get(axis, 0))
            for axis, (low, high) in zip(windows, padding, strict=True)
        )
    known = inspect.signature(function).parameters
    more = {
        name: value
        for name, value in options.items()
        if name in known and name not in ("window_shape", "strides")
    }
    more |= {"padding": padding, "boundary": boundary}
    x, *others = arrays
    if operation.name in _CONVOLUTIONS:
        return function(x, others[0], 1, **more)
    # As they stand in a call: by name, in the order of the alphabet.
    names = sorted(function.weights)
    if len(names) != len(others):
        return None
    weights = dict(zip(names, others, strict=True))
    return function(x, options["window_shape"], 1, **more, **weights)


def _room(operation, windows, axes) -> dict[int, int]:
    """By how much more padding the dense map goes once around."""
    after = operation.outputs[0].shape
    room = {}
    for axis in axes:
        window = windows.get(axis)
        if window is None:
            continue
        covered = (window.extent - 1) * window.dilation + 1
        dense = window.size + sum(window.padding) - covered + 1
        around = min(after[axis] * window.stride, window.size)
        room[axis] = max(0, around - dense)
    return room


def _convolution(operation, arrays, axes, around):
    options = dict(operation.options)
    if set(options["lhs_dilation"]) != {1}:
        return None
    x, kernel = arrays
    if around and not any(map(any, options["padding"])):
        layout = options["dimension_numbers"]
        places = dict(zip(layout.lhs_spec, layout.out_spec, strict=True))
        if any(places[axis] != axis for axis in axes):
            return None
        x = _continued(operation, x, axes)
    strides = (1,) * len(options["window_strides"])
    return lax.conv_general_dilated_p.bind(
        x, kernel, **options | {"window_strides": strides}
    )


def _folded(operation, arrays, axes, around):
    options, x = operation.options, arrays[0]
    if around and not any(map(any, options["padding"])):
        x = _continued(operation, x, axes)
    fold = _FOLDS[operation.name]
    first = {"sum": 0, "max": -jnp.inf, "min": jnp.inf}[operation.name[-3:]]
    return lax.reduce_window(
        x,
        jnp.asarray(first, x.dtype),
        fold,
        options["window_dimensions"],
        (1,) * x.ndim,
        options["padding"],
        options["base_dilation"],
        options["window_dilation"],
    )


def _continued(operation, x, axes):
    room = _room(operation, windows_of(operation), axes)
    widths = [(0, room.get(axis, 0)) for axis in range(x.ndim)]
    return jnp.pad(x, widths, mode="wrap")
