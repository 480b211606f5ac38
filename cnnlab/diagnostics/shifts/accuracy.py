"""The accuracy on images that are moved."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from cnnlab.diagnostics.predictions import (
    Images,
    Labels,
    Predict,
    checked_images,
    checked_labels,
    logits_of,
)
from cnnlab.diagnostics.shifts.motions import translate


def accuracy_under_shifts(
    predict: Predict,
    images: Images,
    labels: Labels,
    shifts: Sequence[tuple[int, int]],
) -> Float[np.ndarray, " shifts"]:
    """The accuracy with every image moved by each (dy, dx), zeros shifted in.

    Raises:
        ValueError: images, labels or logits that are none, or a shift larger than the
            images.
    """
    images = checked_images(images)
    height, width = images.shape[1:3]
    for dy, dx in shifts:
        if abs(dy) > height or abs(dx) > width:
            raise ValueError(
                f"shift ({dy}, {dx}) is larger than the images, {height}x{width}"
            )
    found = []
    for dy, dx in shifts:
        logits = logits_of(predict, translate(images, dy, dx))
        right = logits.argmax(-1) == checked_labels(labels, *logits.shape)
        found.append(right.mean())
    return np.array(found)
