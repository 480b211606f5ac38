"""The padding of pools that count their windows as Caffe does."""

from jax import Array

from cnnlab.ops import windows


def ceil_padding(
    x: Array, window_shape: windows.Sizes, strides: windows.Sizes
) -> tuple[tuple[int, int], ...]:
    """The padding with which the last window reaches the map's end, or beyond it.

    The number of strides is rounded up, where windows without padding round it down;
    but no window starts beyond the map, as one might where strides are larger than
    windows. So does PyTorch under `ceil_mode=True`. A map that is smaller than a window
    gets one, where PyTorch refuses some.
    """
    rank = windows.rank_of(window_shape)
    spatial = windows.spatial_shape(x, rank)
    padding = []
    for entries, size, stride in zip(
        spatial,
        windows.sizes(window_shape, rank, "window_shape"),
        windows.sizes(strides, rank, "strides"),
        strict=True,
    ):
        steps = min(-(-(entries - size) // stride), (entries - 1) // stride)
        padding.append((0, max(max(steps, 0) * stride + size - entries, 0)))
    return tuple(padding)
