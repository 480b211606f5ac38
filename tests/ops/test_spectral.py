"""Spectral pooling keeps low frequencies as they are and drops the others."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from geometries import signed_map

from cnnlab.ops.spectral import spectral_pool


def _wave(size, frequencies, shift=0.0, seed=0):
    """A sum of waves of those numbers of periods over the axis, moved by `shift`."""
    rng = np.random.default_rng(seed)
    place = (np.arange(size) - shift) / size
    phases = rng.uniform(0, 2 * np.pi, len(frequencies))
    amplitudes = rng.uniform(0.5, 2, len(frequencies))
    return sum(
        a * np.cos(2 * np.pi * k * place + p)
        for k, a, p in zip(frequencies, amplitudes, phases, strict=True)
    )


def _plane(height, width, frequencies, shift=(0.0, 0.0)):
    rows = _wave(height, frequencies, shift[0], seed=1)
    columns = _wave(width, frequencies, shift[1], seed=2)
    return jnp.asarray(np.outer(rows, columns)[None, ..., None], jnp.float32)


@pytest.mark.parametrize("strides", [(2, 3), (3, 2)])
def test_low_frequencies_are_sampled_and_high_ones_dropped(strides):
    low, high = (0, 1), (4, 5)
    pooled = spectral_pool(_plane(12, 12, low), 1, strides)
    sampled = _plane(12, 12, low)[:, :: strides[0], :: strides[1]]
    np.testing.assert_allclose(pooled, sampled, atol=1e-5)
    both = _plane(12, 12, low) + _plane(12, 12, (*high, 6))
    dropped = spectral_pool(both, 1, 3)
    np.testing.assert_allclose(
        dropped, spectral_pool(_plane(12, 12, low), 1, 3), atol=1e-5
    )


@pytest.mark.parametrize("size", [(12, 9), (10, 14), (11, 13)])
@pytest.mark.parametrize("shift", [(1.0, 0.0), (0.25, -2.5)])
def test_any_shift_moves_the_result_by_its_fraction_of_an_entry(size, shift):
    pool = functools.partial(spectral_pool, window_shape=2, strides=2, padding="SAME")
    height, width = pool(_plane(*size, (0, 1))).shape[1:3]
    moved = pool(_plane(*size, (0, 1, 2), shift))
    fraction = shift[0] * height / size[0], shift[1] * width / size[1]
    wanted = _plane(height, width, (0, 1, 2), fraction)
    np.testing.assert_allclose(moved, wanted, atol=1e-5)


def test_circular_shift_by_the_strides_shifts_any_map_by_one():
    x = jnp.asarray(signed_map((2, 6, 12, 3)))
    out = spectral_pool(x, 3, 3, "SAME")
    shifted = spectral_pool(jnp.roll(x, (3, -6), (1, 2)), 3, 3, "SAME")
    np.testing.assert_allclose(shifted, jnp.roll(out, (1, -2), (1, 2)), atol=1e-6)


@pytest.mark.parametrize("shape", [(5,), (6,), (4, 7), (3, 4, 5)])
def test_stride_one_keeps_the_map(shape):
    x = jnp.asarray(signed_map((*shape, 2)))
    kept = spectral_pool(x, (1,) * len(shape))
    np.testing.assert_allclose(kept, x, atol=1e-5)


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("strides", [2, 3, 8])
def test_mean_is_kept(size, strides):
    x = jnp.asarray(signed_map((3, size, size + 1, 2)))
    pooled = spectral_pool(x, 1, strides)
    means = pooled.mean(axis=(1, 2)), x.mean(axis=(1, 2))
    np.testing.assert_allclose(*means, atol=1e-6)


def test_odd_results_are_the_cropped_fourier_transform():
    x = signed_map((10, 6, 2))
    spectrum = np.fft.rfft2(x.astype(np.float64), axes=(0, 1))
    kept = np.concatenate([spectrum[:3], spectrum[-2:]])[:, :2]
    wanted = np.fft.irfft2(kept, (5, 3), axes=(0, 1)) * 15 / 60
    np.testing.assert_allclose(spectral_pool(jnp.asarray(x), 2, 2), wanted, atol=1e-6)


def test_pooling_again_to_the_same_size_changes_nothing():
    x = jnp.asarray(signed_map((1, 15, 9, 2)))
    low = spectral_pool(x, 3, 3, "SAME")
    # Up by a padding, which makes the result larger than the map, and down again.
    up = spectral_pool(low, 1, 1, ((0, 10), (0, 6)))
    assert up.shape == x.shape
    np.testing.assert_allclose(spectral_pool(up, 3, 3, "SAME"), low, atol=1e-5)


def test_gradient_is_the_transpose():
    x, y = (jnp.asarray(signed_map((2, n, n, 3), seed)) for n, seed in ((7, 0), (4, 1)))
    out, pull = jax.vjp(lambda x: spectral_pool(x, 2, 2, "SAME"), x)
    np.testing.assert_allclose(jnp.vdot(out, y), jnp.vdot(x, *pull(y)), rtol=1e-4)
    twice = spectral_pool(2 * x, 2, 2, "SAME")
    np.testing.assert_allclose(twice, 2 * out, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_other_boundaries_and_integers_are_refused():
    x = jnp.ones((1, 4, 4, 1))
    for boundary in "zero", "reflect", "edge":
        message = f"spectral_pool has no boundary {boundary!r}; choose from circular"
        with pytest.raises(ValueError, match=re.escape(message)):
            spectral_pool(x, 2, boundary=boundary)
    with pytest.raises(TypeError, match="needs a floating-point map, got int32"):
        spectral_pool(x.astype(jnp.int32), 2)
