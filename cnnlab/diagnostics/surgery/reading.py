"""Which equations thin maps, read one by one."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
from jax import lax
from jax.extend.core import JaxprEqn

from cnnlab.diagnostics.operation import Operation
from cnnlab.diagnostics.sliding import Window
from cnnlab.diagnostics.surgery.cut import Cut, Layout
from cnnlab.diagnostics.surgery.site import Site
from cnnlab.diagnostics.windows_of import result_shape, spatial_windows, windows_of
from cnnlab.ops import conv, pools

_GEOMETRY = ("window_shape", "strides", "padding", "boundary", "dilation")
_ITSELF = {"reduce_window_max": "max_pool", "reduce_window_min": "min_pool"}
# Keeps the entries that the strides keep.
_PLAIN = "blur_pool(window_shape=1)"
# Operators that lay out their windows by the size of their result, not by strides.
_BY_SIZE = ("adaptive_avg_pool", "adaptive_max_pool", "fractional_max_pool")
_POOLS = (*_ITSELF, "reduce_window_sum", "reduce_window")


def read_cut(equation: JaxprEqn, operation: Operation) -> Cut | None:
    """The cut that an equation makes, its index and division still open; or None."""
    if not operation.inputs or not operation.outputs:
        return None
    if operation.operator:
        return _of_operator(operation)
    if operation.name == "slice":
        return _of_slice(equation, operation)
    if operation.name == "conv_general_dilated":
        return _of_convolution(equation, operation)
    return _of_pool(operation) if operation.name in _POOLS else None


def refused(cut: Cut, obstacle: str) -> Cut:
    """`cut`, to be listed and not to be made."""
    return dataclasses.replace(
        cut, site=dataclasses.replace(cut.site, obstacle=obstacle, itself=None)
    )


def _of_operator(operation: Operation) -> Cut | None:
    strides = _own_strides(operation)
    if strides is None or set(strides) <= {1} or _widens(operation, strides):
        return None
    x = operation.inputs[0]
    first = len(x.shape) - len(strides) - 1
    layout = Layout(tuple(range(first, len(x.shape) - 1)), len(x.shape) - 1)
    windows = spatial_windows(operation)
    cut = Cut(_site(operation, "pool", windows, layout.axes, strides), layout=layout)
    if operation.name in _BY_SIZE:
        return refused(cut, "its windows go by the size of the result")
    if operation.name == "conv" and windows_of(operation):
        site = dataclasses.replace(cut.site, kind="convolution", itself=_PLAIN)
        dense = functools.partial(_dense_conv, site, operation.options["groups"])
        return dataclasses.replace(cut, site=site, dense=dense)
    shape = windows and (*result_shape(operation, windows), x.shape[-1])
    known = operation.name in pools or len(operation.inputs) == 1
    if known and shape == operation.outputs[0].shape and len(operation.outputs) == 1:
        site = dataclasses.replace(cut.site, itself=_spec(operation))
        return dataclasses.replace(
            cut, site=site, dense=_first_input, whole_windows=True
        )
    return refused(cut, f"{operation.name} has no form at stride 1 here")


def _own_strides(operation):
    if operation.name not in _BY_SIZE:
        strides = operation.options.get("strides")
        return strides and tuple(strides)
    before, after = operation.inputs[0].shape, operation.outputs[0].shape
    sizes = zip(before[1:-1], after[1:-1], strict=True)
    return tuple(was / now if was % now else was // now for was, now in sizes)


def _widens(operation, strides):
    before, after = operation.inputs[0].shape, operation.outputs[0].shape
    if len(before) != len(after):
        return True
    sides = slice(len(before) - len(strides) - 1, -1)
    return any(now > was for was, now in zip(before[sides], after[sides], strict=True))


def _spec(operation):
    if len(operation.inputs) > 1 or operation.name not in pools:
        return None
    options = {k: v for k, v in operation.options.items() if k not in _GEOMETRY}
    listed = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return f"{operation.name}({listed})" if listed else operation.name


def _first_input(inputs: Sequence):
    return inputs[0]


def _dense_conv(site, groups, inputs):
    return conv(
        *inputs,
        1,
        _dense_padding(site),
        dilation=site.dilation,
        groups=groups,
        boundary=site.boundary,
    )


def _dense_padding(site: Site):
    """The padding at stride 1, from which the strides keep as many entries.

    A torus stays one: as many windows as entries, if that is enough.
    """
    if site.boundary != "circular":
        return site.padding
    padding = []
    for axis, window in _windows(site).items():
        kept, entries = site.output_shape[axis], site.input_shape[axis]
        enough = kept <= -(-entries // window.stride)
        dense = entries if enough else kept * window.stride
        covered = (window.extent - 1) * window.dilation
        low = window.padding[0]
        padding.append((low, max(dense + covered - entries - low, 0)))
    return tuple(padding)


def _windows(site: Site) -> dict[int, Window]:
    return {
        axis: Window(site.input_shape[axis], extent, stride, pair, step, site.boundary)
        for axis, extent, stride, pair, step in zip(
            site.axes,
            site.window_shape,
            site.strides,
            site.padding,
            site.dilation,
            strict=True,
        )
    }


def _of_slice(equation, operation):
    steps, shape = operation.options["strides"], operation.inputs[0].shape
    if steps is None:
        return None
    axes = tuple(axis for axis, step in enumerate(steps) if step > 1)
    if not _are_spatial(axes, len(shape), of_windows=False):
        return None
    strides = tuple(steps[axis] for axis in axes)
    layout = Layout(axes, _channels(axes, len(shape)))
    site = _site(operation, "slice", None, axes, strides)
    site = dataclasses.replace(site, itself=_PLAIN)
    starts, stops = (
        operation.options[name] for name in ("start_indices", "limit_indices")
    )
    return Cut(
        site, dense=lambda inputs: lax.slice(inputs[0], starts, stops), layout=layout
    )


def _are_spatial(axes, rank, *, of_windows):
    if len(axes) != 1:
        return bool(axes)
    if axes[0] == rank - 1:
        # A lone last axis holds channels, but in [batch, channels, width].
        return of_windows and rank == 3
    return axes[0] > 0


def _channels(axes, rank):
    if rank - 1 not in axes:
        return rank - 1
    before = [axis for axis in range(axes[0]) if axis not in axes]
    return before[-1] if before else None


def _of_convolution(equation, operation):
    windows = windows_of(operation)
    strides = tuple(window.stride for window in windows.values())
    if set(strides) <= {1}:
        return None
    numbers = operation.options["dimension_numbers"]
    before, after = operation.inputs[0].shape, operation.outputs[0].shape
    sides = zip(numbers.lhs_spec[2:], numbers.out_spec[2:], strict=True)
    if any(after[out] > before[axis] for axis, out in sides):
        return None
    site = _site(operation, "convolution", windows, tuple(windows), strides)
    cut = Cut(site, layout=Layout(numbers.out_spec[2:], numbers.out_spec[1]))
    if any(window.spread > 1 for window in windows.values()):
        return refused(cut, "it is a transposed convolution")
    if any(low < 0 or high < 0 for low, high in site.padding):
        return refused(cut, "its padding is negative")

    def dense(inputs):
        options = equation.primitive.get_bind_params(equation.params)
        options["window_strides"] = (1,) * len(strides)
        with equation.ctx.manager:
            return equation.primitive.bind(*inputs, **options)

    return dataclasses.replace(
        cut, site=dataclasses.replace(site, itself=_PLAIN), dense=dense
    )


def _of_pool(operation):
    windows = windows_of(operation)
    x, rank = operation.inputs[0], len(operation.inputs[0].shape)
    axes = tuple(windows)
    strides = tuple(window.stride for window in windows.values())
    if set(strides) <= {1} or not _are_spatial(axes, rank, of_windows=True):
        return None
    layout = Layout(axes, _channels(axes, rank))
    cut = Cut(_site(operation, "pool", windows, axes, strides), layout=layout)
    if len(operation.outputs) > 1:
        return refused(cut, "it reduces several maps at once")
    if any(window.spread > 1 for window in windows.values()):
        return refused(cut, "its map is spread")
    if any(window.dilation > 1 for window in windows.values()):
        return refused(cut, "its windows are dilated")
    if any(low < 0 or high < 0 for low, high in cut.site.padding):
        return refused(cut, "its padding is negative")
    if not jax.numpy.issubdtype(x.dtype, jax.numpy.floating):
        return refused(cut, f"it is of {x.dtype}")
    site = dataclasses.replace(cut.site, itself=_ITSELF.get(operation.name))
    return dataclasses.replace(cut, site=site, dense=_first_input, whole_windows=True)


def _site(operation, kind, windows, axes, strides) -> Site:
    rank = len(axes)
    if windows is None:
        shape, padding, dilation = (1,) * rank, ((0, 0),) * rank, (1,) * rank
    else:
        geometry = windows.values()
        shape = tuple(window.extent for window in geometry)
        padding = tuple(window.padding for window in geometry)
        dilation = tuple(window.dilation for window in geometry)
    return Site(
        index=-1,
        kind=kind,
        operator=operation.name,
        path=operation.path,
        input_shape=operation.inputs[0].shape,
        output_shape=operation.outputs[0].shape,
        axes=axes,
        window_shape=shape,
        strides=strides,
        padding=padding,
        dilation=dilation,
        boundary=str(operation.options.get("boundary", "zero")),
    )
