"""Cropping in frequency, by the complex Fourier transform of each axis."""

import numpy as np

from references.loops import each, map_reference, output_shape, padding_pairs


@map_reference
def spectral_pool(x, window_shape, strides=1, padding="VALID", boundary="circular"):
    rank = 2 if isinstance(window_shape, int) else len(window_shape)
    window, strides = each(window_shape, rank), each(strides, rank)
    first = x.ndim - rank - 1
    spatial = x.shape[first:-1]
    pairs = padding_pairs(padding, spatial, window, strides)
    for axis, size in enumerate(output_shape(spatial, window, strides, pairs), first):
        x = _resized(x, axis, size)
    return x


def _resized(x, axis, size):
    """One axis of `x` with its frequencies copied one by one to `size` places."""
    count = x.shape[axis]
    spectrum = np.moveaxis(np.fft.fft(x, axis=axis), axis, 0)
    kept = np.zeros((size, *spectrum.shape[1:]), complex)
    half = min(count, size) / 2
    for frequency in range(-(count // 2), count // 2 + 1):
        if abs(frequency) < half:
            kept[frequency % size] += spectrum[frequency % count]
        elif abs(frequency) == half:
            # One of two: both of +half and -half come by, each for a half.
            kept[frequency % size] += spectrum[frequency % count] / 2
    out = np.fft.ifft(kept, axis=0) * size / count
    assert np.allclose(out.imag, 0)
    return np.moveaxis(out.real, 0, axis)
