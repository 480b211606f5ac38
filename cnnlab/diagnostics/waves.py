"""Maps as sums of waves along an axis: their derivatives, and their slow part.

Everything is a matrix on an axis, exact for any size. What lies beyond a map is told by
its boundary:

- "circular": the map goes on around, a sum of the waves of a torus.
- "mirror": the map is followed by its mirror image, a sum of cosines: no jump where
  its two ends differ.
- "edge": the last entry goes on. It is no sum of waves; derivatives are half the
  difference of the two neighbours.
"""

import functools
from typing import Any

import numpy as np
from jaxtyping import Float

Matrix = Float[np.ndarray, "size size"]

DIFFERENTIABLE = ("circular", "mirror", "edge")
FILTERABLE = ("circular", "mirror")


def along(x, matrix: Matrix, axis: int) -> Any:
    """`matrix` applied to every vector of `x` along `axis`, in the dtype of `x`."""
    namespace = x.__array_namespace__()
    weights = namespace.asarray(matrix, dtype=x.dtype)
    return namespace.moveaxis(namespace.tensordot(weights, x, (1, axis)), 0, axis)


@functools.lru_cache(maxsize=256)
def derivative(size: int, boundary: str) -> Matrix:
    """What takes entries to the derivative at their places, per entry.

    On a torus the wave of exactly half a cycle per entry, which has no defined value
    between entries, has the derivative 0.
    """
    return {"circular": _around, "mirror": _mirrored, "edge": _differences}[boundary](
        size
    )


@functools.lru_cache(maxsize=256)
def low_pass(size: int, stride: int, boundary: str) -> Matrix:
    """The projection on waves of fewer than 1 / (2 stride) cycles per entry."""
    if boundary == "circular":
        slow = np.arange(1, -(-size // (2 * stride)))
        return (1 + 2 * np.cos(_angles(size, slow)).sum(-1)) / size
    slow = np.arange(-(-size // stride))
    cosines = _cosines(size, slow)
    return cosines @ cosines.T


def _angles(size, frequencies):
    """[entry, entry, frequency]: by how much a wave turns between two entries."""
    apart = np.subtract.outer(np.arange(size), np.arange(size))
    return 2 * np.pi * (np.multiply.outer(apart, frequencies) % size) / size


def _around(size):
    frequencies = np.arange(1, (size + 1) // 2)
    speeds = 2 * np.pi * frequencies / size
    return -2 / size * (np.sin(_angles(size, frequencies)) @ speeds)


def _mirrored(size):
    frequencies = np.arange(size)
    speeds = np.pi * frequencies / size
    places = np.multiply.outer(np.arange(size) + 0.5, speeds)
    return -(_norms(size, frequencies) * speeds * np.sin(places)) @ (
        _cosines(size, frequencies).T
    )


def _cosines(size, frequencies):
    """Orthonormal columns, one for each frequency in half cycles per map."""
    places = np.multiply.outer(np.arange(size) + 0.5, frequencies)
    return _norms(size, frequencies) * np.cos(np.pi * places / size)


def _norms(size, frequencies):
    return np.sqrt(np.where(frequencies == 0, 1, 2) / size)


def _differences(size):
    entries = np.arange(size)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (entries, np.minimum(entries + 1, size - 1)), 0.5)
    np.add.at(matrix, (entries, np.maximum(entries - 1, 0)), -0.5)
    return matrix
