"""Every circular shift of an image, and what a shift-exact pool makes of them."""

import itertools

import jax.numpy as jnp
import numpy as np


def all_rolls(image):
    """`[shifts, *image]`: the image under every circular shift of its spatial axes."""
    axes = range(image.ndim - 1)
    shifts = itertools.product(*map(range, image.shape[:-1]))
    return jnp.asarray(np.stack([np.roll(image, shift, axes) for shift in shifts]))


def sparse_image(shape, share=0.1, seed=0):
    """Zeros and a few ones, full of ties."""
    return (np.random.default_rng(seed).random(shape) < share).astype(np.float32)


def assert_moves_exactly(subsample, image, strides):
    """That each axis of the result is shifted, or stays where strides do not divide."""
    out = np.asarray(subsample(all_rolls(image)))
    sizes = zip(out.shape[1:-1], strides, image.shape[:-1], strict=True)
    ranges = [range(kept if kept * s == size else 1) for kept, s, size in sizes]
    allowed = {
        np.roll(out[0], shift, range(len(strides))).tobytes()
        for shift in itertools.product(*ranges)
    }
    assert np.ptp(out[0]) > 0, "a constant result would show nothing"
    assert {result.tobytes() for result in out} <= allowed
