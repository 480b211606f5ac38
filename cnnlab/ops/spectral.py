"""Spectral pooling: the low frequencies of a map, sampled as densely as they need."""

import math

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnnlab.ops.pool_definition import Traits, mapped, pools
from cnnlab.ops.reductions import wide
from cnnlab.ops.windows import Geometry


@pools.register
@mapped(boundaries=("circular",), traits=Traits(local=False))
def spectral_pool(x: Array, window: Geometry) -> Array:
    """The map, low-passed in frequency to what the result's size can hold.

    The map is one period of a periodic one. Its discrete Fourier transform is cropped
    to the size of the result (the window's and the strides' only meaning) and
    transformed back, so that entry j of m samples the low-passed map at j * n / m of
    its n pixels. The mean is kept. Of an even m, the highest frequency is the mean of
    the two, +m/2 and -m/2, that it stands for, so that the result is real.

    A circular shift by n / m pixels, where that is whole, shifts the result by one
    entry, and any other shift by the fraction of an entry that it is (but for that
    highest frequency). The gradient is the transpose of the same linear map. Every
    entry weighs in every entry of the result: an infinity may leave no finite one.

    Source: Rippel, Snoek and Adams, 2015, algorithm 1, "Spectral representations for
    convolutional neural networks", https://arxiv.org/abs/1506.03767; theirs keeps one
    of the two highest frequencies and drops its imaginary part where the transform
    would have to be real. Here each axis is one product with a real matrix, which is
    the same, exists in every dtype, and is faster than the transform on a CPU.
    """
    x = wide(x)
    rank = len(window.output_shape)
    for axis, size in enumerate(window.output_shape, x.ndim - rank - 1):
        matrix = low_pass_matrix(x.shape[axis], size).astype(x.dtype)
        # Not in the ten bits in which an accelerator may multiply float32.
        low = jnp.tensordot(matrix, x, (1, axis), precision=lax.Precision.HIGHEST)
        x = jnp.moveaxis(low, 0, axis)
    return x


def low_pass_matrix(size: int, output_size: int) -> np.ndarray:
    """`[output_size, size]`, float64: the inverse of a cropped Fourier transform.

    Row j holds the Dirichlet kernel around j * size / output_size:
    1 / n sum over |k| <= K / 2 of exp(2 pi i k (j / m - i / n)), with the two terms at
    |k| = K / 2, where that is whole, at half their weight, and K = min(n, m).
    """
    band = min(size, output_size)
    frequency = np.arange(band // 2 + 1)
    single = (frequency == 0) | (2 * frequency == band)
    # Whole numbers up to here: the phase is exact however large the map.
    j, i, k = np.ix_(np.arange(output_size), np.arange(size), frequency)
    turns = k * (j * size - i * output_size) % (size * output_size)
    cosines = np.cos(2 * math.pi / (size * output_size) * turns)
    return (np.where(single, 1, 2) * cosines).sum(axis=-1) / size
