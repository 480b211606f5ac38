"""What is predicted of moved images, batch by batch."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from cnnlab.diagnostics.predictions import (
    Images,
    Labels,
    Logits,
    Predict,
    checked_images,
    checked_labels,
    classes_of,
    logits_of,
    probabilities_of,
)
from cnnlab.diagnostics.shifts.motion import Motion
from cnnlab.ops.arguments import check_count

BATCH_SIZE = 256


class Asked(NamedTuple):
    """What was found about a function before the many calls of it."""

    images: Images
    labels: Labels | None
    classes: int


def ask(
    predict: Predict,
    images: Images,
    labels: Labels | None,
    *,
    batch_size: int,
    fits: Callable[[Images], None],
    home: Callable[[Images], Images],
) -> Asked:
    """The arguments, checked, at the cost of three calls about the first batch.

    Args:
        fits: refuses images that cannot be moved as they are going to be.
        home: gives images as `predict` sees them unmoved.

    Raises:
        ValueError: images, labels or a predict that cannot be measured.
    """
    check_count("batch_size", batch_size)
    images = checked_images(images)
    fits(images)
    classes = classes_of(predict, home(images[:batch_size]))
    if labels is not None:
        labels = checked_labels(labels, len(images), classes)
    return Asked(images, labels, classes)


def ask_labelled(
    protocol: Any,
    predict: Predict,
    images: Images,
    labels: Labels | None,
    *,
    batch_size: int,
) -> Asked:
    """As `ask`, for a protocol of accuracies on images that are seen at their size.

    Raises:
        ValueError: there are no labels, and as `ask`.
    """
    if labels is None:
        raise ValueError(f"{protocol} needs labels")
    return ask(
        predict,
        images,
        labels,
        batch_size=batch_size,
        fits=protocol.check,
        home=lambda images: images,
    )


class Answers(NamedTuple):
    """The class of every look, and that class's probability where it was asked for."""

    classes: Int[np.ndarray, "looks examples"]
    probabilities: Float[np.ndarray, "looks examples"] | None


def answers(
    predict: Predict,
    asked: Asked,
    motion: Motion,
    displacements: Num[np.ndarray, "looks examples_or_one 2"],
    *,
    batch_size: int,
    probabilities: bool = False,
) -> Answers:
    """The classes that `predict` gives to each image at each displacement.

    One batch at one displacement is held at a time; of its logits are kept two bytes
    for each image, and four more with `probabilities`.
    """
    shape = len(displacements), len(asked.images)
    classes = np.empty(shape, np.int16 if asked.classes <= 2**15 else np.int32)
    top = np.empty(shape, np.float32) if probabilities else None
    looks = stream(predict, asked, motion, displacements, batch_size)
    for look, part, logits in looks:
        classes[look, part] = logits.argmax(-1)
        if top is not None:
            top[look, part] = probabilities_of(logits).max(-1)
    return Answers(classes, top)


def stream(
    predict: Predict,
    asked: Asked,
    motion: Motion,
    displacements: Num[np.ndarray, "looks examples_or_one 2"],
    batch_size: int,
) -> Iterator[tuple[int, slice, Logits]]:
    """(which displacement, which images, their logits): batches in turn, all looks."""
    for start in range(0, len(asked.images), batch_size):
        part = slice(start, start + batch_size)
        batch = asked.images[part]
        for look, moves in enumerate(displacements):
            own = moves if len(moves) == 1 else moves[part]
            moved = motion.each(batch, own)
            yield look, part, logits_of(predict, moved, asked.classes)
