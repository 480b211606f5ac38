"""Small integers in place of a network's weights and images."""

import math
from collections.abc import Sequence

import numpy as np

# Weights that each output reads at least, and that all outputs read together at least:
# the fewer outputs, the more each has to see for two images to differ in one of them.
_READ, _READ_IN_ALL = 3, 64


def draw_weights(shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Sparse integers in -2..2, float64.

    Of two axes or more the last is that of outputs, and no output, nor any entry of
    the first axis, is without weight: a kernel keeps all of its rows. Each output has
    both signs, so that no ReLU after it is on for every image. With fewer axes none is
    0.
    """
    if len(shape) < 2:
        return rng.choice([-2.0, -1.0, 1.0, 2.0], shape)
    weights = _sparse(shape, rng)
    inner = weights.reshape(len(weights), math.prod(shape[1:]))
    empty = np.flatnonzero(~inner.any(1))
    if empty.size and inner.shape[1]:
        places = rng.integers(inner.shape[1], size=empty.size)
        inner[empty, places] = rng.choice([-1.0, 1.0], empty.size)
    return weights


def _sparse(shape, rng):
    outputs = shape[-1]
    # Blocks that run as a loop have an axis before those of the kernel.
    stack, seen = math.prod(shape[:-4]), math.prod(shape[-4:-1])
    weights = np.zeros((stack, seen, outputs))
    read = min(seen, max(_READ, -(-_READ_IN_ALL // max(outputs, 1))))
    if weights.size == 0:
        return weights.reshape(shape)
    places = rng.integers(seen, size=(stack, read, outputs))
    values = rng.choice([-1.0, 1.0], places.shape)
    values[:, -1] *= 2
    if read > 1:
        values[:, -2] = -np.sign(values[:, -1])
        # Apart from each other.
        places[:, -2] = (places[:, -1] + rng.integers(1, seen, (stack, outputs))) % seen
    grid = np.ogrid[:stack, :outputs]
    for one in range(read):
        weights[grid[0], places[:, one], grid[1]] = values[:, one]
    return weights.reshape(shape)


def draw_image(
    shape: Sequence[int], spatial: Sequence[int], tied: bool, rng: np.random.Generator
) -> np.ndarray:
    """An image of integers in 0..3, full of equal entries.

    Args:
        tied: it is the sum of a sparse image and of that image moved by (1, 3), which
            nowhere meet. What strides of 2 keep from an offset then has the norm, but
            not the content, of what they keep from the one diagonally across: a choice
            by the norm has ties.
    """
    if not tied:
        return rng.integers(0, 4, shape).astype(float)
    sparse = rng.integers(1, 4, shape) * (rng.random(shape) < 0.1)
    sparse *= np.roll(sparse, (1, 3), spatial) == 0
    return (sparse + np.roll(sparse, (1, 3), spatial)).astype(float)
