"""What the convolution layers share: sizes, kernels, and a bias at the end."""

from collections.abc import Callable, Mapping, Sequence

import flax.linen as nn
from flax.linen.dtypes import promote_dtype
from jax import Array

from cnnlab.ops import windows
from cnnlab.ops.arguments import check_array, check_count


def window_of(kernel_size: int | Sequence[int]) -> tuple[int, ...]:
    """`kernel_size` per axis: an int is a square of two axes.

    Raises:
        ValueError, TypeError: not 1 to 3 entries, one below 1, or not an integer.
    """
    rank = windows.rank_of(kernel_size, "kernel_size")
    return windows.sizes(kernel_size, rank, "kernel_size")


def channels_of(x: Array, **counts: int) -> int:
    """The channels of `x`; the numbers named in `counts` are checked with them.

    Raises:
        ValueError: `x` has no channels, or a count is below 1.
        TypeError: `x` is no array, or a count is not an integer.
    """
    check_array("the map", x)
    if not x.ndim or not x.shape[-1]:
        raise ValueError(f"a layer needs a map with channels, got shape {x.shape}")
    for name, count in counts.items():
        check_count(name, count)
    return x.shape[-1]


def convolved(
    layer: nn.Module,
    convolve: Callable[..., Array],
    x: Array,
    kernels: Mapping[str, tuple[int, ...]],
    features: int,
    **options,
) -> Array:
    """What `convolve` makes of `x`, plus the bias if the layer has one.

    Args:
        convolve: `(x, *kernels, strides, padding, dilation=, boundary=, **options)`,
            given the layer's own strides, padding, dilation and boundary.
        kernels: the shapes of the layer's kernels, by their names.
    """
    weights = [
        layer.param(name, layer.kernel_init, shape, layer.param_dtype)
        for name, shape in kernels.items()
    ]
    bias = None
    if layer.use_bias:
        bias = layer.param("bias", layer.bias_init, (features,), layer.param_dtype)
    *operands, bias = promote_dtype(x, *weights, bias, dtype=layer.dtype)
    out = convolve(
        *operands,
        layer.strides,
        layer.padding,
        dilation=layer.dilation,
        boundary=layer.boundary,
        **options,
    )
    return out if bias is None else out + bias
