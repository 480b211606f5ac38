"""The transposed convolution, im2col and the resampled activation, the slow way."""

import itertools

import numpy as np

from references.loops import each, output_shape, padding_pairs, place


def walk(spatial, window_shape, strides, padding, dilation, boundary):
    """The result's shape, and every (position of it, number of a tap, map entry)."""
    rank = len(spatial)
    strides, dilation = each(strides, rank), each(dilation, rank)
    extent = [(w - 1) * d + 1 for w, d in zip(window_shape, dilation, strict=True)]
    pairs = padding_pairs(padding, spatial, extent, strides)
    output = output_shape(spatial, extent, strides, pairs)
    meetings = []
    for corner in itertools.product(*map(range, output)):
        for number, tap in enumerate(itertools.product(*map(range, window_shape))):
            offset = tuple(t * d for t, d in zip(tap, dilation, strict=True))
            there = place(corner, offset, strides, pairs, spatial, boundary)
            if there is not None:
                meetings.append((corner, number, there))
    return output, meetings


def conv_transpose(
    x, kernel, spatial, strides=1, padding="SAME", dilation=1, groups=1, boundary="zero"
):
    """The map of shape `spatial` to which every entry of `x` sends its kernel."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    rank = len(spatial)
    batch = x.shape[: x.ndim - rank - 1]
    images = x.reshape(-1, *x.shape[len(batch) :])
    taps = kernel.reshape(-1, *kernel.shape[-2:])
    wide, narrow = kernel.shape[-1] // groups, kernel.shape[-2]
    out = np.zeros((len(images), *spatial, groups * narrow))
    path = spatial, kernel.shape[:rank], strides, padding, dilation, boundary
    for corner, tap, there in walk(*path)[1]:
        for group in range(groups):
            theirs = slice(group * wide, (group + 1) * wide)
            ours = slice(group * narrow, (group + 1) * narrow)
            sent = images[(slice(None), *corner, theirs)] @ taps[tap][:, theirs].T
            out[(slice(None), *there, ours)] += sent
    return out.reshape(*batch, *out.shape[1:])


def im2col(x, window_shape, strides=1, padding="SAME", dilation=1, boundary="zero"):
    """The rows of the entries under the window."""
    x = np.asarray(x, np.float64)
    rank = len(window_shape)
    batch, spatial = x.shape[: x.ndim - rank - 1], x.shape[x.ndim - rank - 1 : -1]
    images = x.reshape(-1, *x.shape[len(batch) :])
    output, meetings = walk(spatial, window_shape, strides, padding, dilation, boundary)
    out = np.zeros((len(images), *output, np.prod(window_shape), x.shape[-1]))
    for corner, tap, there in meetings:
        out[(slice(None), *corner, tap)] = images[(slice(None), *there)]
    return out.reshape(*batch, *output, -1)


def alias_free_activation(x, activation, up=2, axes=2):
    """The activation between resamplings by the Fourier transform."""
    fine = np.asarray(x, np.float64)
    spatial = range(fine.ndim - axes - 1, fine.ndim - 1)
    for axis in spatial:
        fine = _resized(fine, axis, fine.shape[axis] * up)
    out = activation(fine)
    for axis in spatial:
        out = _resized(out, axis, out.shape[axis] // up)
    return out


def shifted(x, distance, axis):
    """`x`, less the wave of half a cycle, moved along a circular axis by a real."""
    size = x.shape[axis]
    spectrum = np.fft.fft(x, axis=axis)
    frequency = _along(np.fft.fftfreq(size, 1 / size), axis, x.ndim)
    spectrum = spectrum * np.exp(-2j * np.pi * frequency * distance / size)
    return np.fft.ifft(spectrum * (2 * np.abs(frequency) < size), axis=axis).real


def _resized(x, axis, size):
    """The waves of `x` that both sizes can hold, sampled at `size` places."""
    held = min(x.shape[axis], size)
    places = _along(np.arange(size) / size, axis, x.ndim)
    spectrum = np.fft.fft(x, axis=axis) / x.shape[axis]
    out = 0
    for frequency in range(-((held - 1) // 2), (held - 1) // 2 + 1):
        wave = np.exp(2j * np.pi * frequency * places)
        out = out + wave * np.take(spectrum, [frequency], axis)
    return out.real


def _along(values, axis, rank):
    return values.reshape([-1 if a == axis else 1 for a in range(rank)])
