"""What happens when the image moves."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int, Num

Images = Num[np.ndarray, "examples height width channels"]


def translate(images: Images, dy: int, dx: int) -> Images:
    """`images` moved down by `dy` and right by `dx` pixels, zeros shifted in."""
    height, width = images.shape[1:3]
    moved = np.zeros_like(images)
    if abs(dy) < height and abs(dx) < width:
        rows, columns = _overlap(dy, height), _overlap(dx, width)
        moved[:, rows[0], columns[0]] = images[:, rows[1], columns[1]]
    return moved


def accuracy_under_shifts(
    predict: Callable[[Images], Float[np.ndarray, "examples classes"]],
    images: Images,
    labels: Int[np.ndarray, " examples"],
    shifts: Sequence[tuple[int, int]],
) -> Float[np.ndarray, " shifts"]:
    """The accuracy with every image moved by each (dy, dx), zeros shifted in."""
    return np.array(
        [
            np.mean(predict(translate(images, dy, dx)).argmax(-1) == labels)
            for dy, dx in shifts
        ]
    )


def _overlap(offset: int, size: int) -> tuple[slice, slice]:
    """(where the image lands, where it comes from) along one axis."""
    return (
        slice(max(offset, 0), size + min(offset, 0)),
        slice(max(-offset, 0), size + min(-offset, 0)),
    )
