"""The accuracy on images that are moved."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from cnnlab.diagnostics.predictions import Images, Labels, Predict
from cnnlab.diagnostics.shifts.motions import translate


def accuracy_under_shifts(
    predict: Predict,
    images: Images,
    labels: Labels,
    shifts: Sequence[tuple[int, int]],
) -> Float[np.ndarray, " shifts"]:
    """The accuracy with every image moved by each (dy, dx), zeros shifted in."""
    return np.array(
        [
            np.mean(predict(translate(images, dy, dx)).argmax(-1) == labels)
            for dy, dx in shifts
        ]
    )
