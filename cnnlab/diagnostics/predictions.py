"""What a function says of images, and whether it is one that can be asked."""

import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, Num

from cnnlab.ops.arguments import check_array

Images = Num[np.ndarray, "examples height width channels"]
Labels = Int[np.ndarray, " examples"]
Logits = Float[np.ndarray, "examples classes"]
Predict = Callable[[Images], Logits]

# Two calls on an accelerator may add in another order; dropout changes far more.
_ROUNDING = 1e-3


def checked_images(images: Images) -> Images:
    """`images` as a NumPy array.

    Raises:
        TypeError: they are no array.
        ValueError: not [examples, height, width, channels], channels that come second
            by the look of it (1, 3 or 4, before two equal sides), empty, or not finite.
    """
    check_array("images", images)
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            "images must be [examples, height, width, channels], none of them 0, "
            f"got shape {images.shape}"
        )
    _, height, width, channels = images.shape
    if height in (1, 3, 4) and width == channels > 4:
        raise ValueError(
            f"images of shape {images.shape} look as if channels came first; they must "
            "be [examples, height, width, channels]"
        )
    images = np.asarray(images)
    if images.dtype.kind not in "biu":
        finite = np.fromiter((np.isfinite(image).all() for image in images), bool)
        if not finite.all():
            raise ValueError(
                f"images must be finite, image {int(np.argmin(finite))} is not"
            )
    return images


def checked_labels(labels: Labels, examples: int, classes: int) -> Labels:
    """`labels` as a NumPy array.

    Raises:
        ValueError: not one integer for each image, or one outside 0..classes - 1.
    """
    labels = np.asarray(labels)
    if labels.shape != (examples,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be {examples} integers, one for each image, "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise ValueError(
            f"labels must be 0 to {classes - 1}, as predict gives {classes} classes, "
            f"got {wrong}"
        )
    return labels


def logits_of(predict: Predict, images: Images, classes: int | None = None) -> Logits:
    """What `predict` gives, as a NumPy array.

    Args:
        classes: how many there must be; None is any number.

    Raises:
        ValueError: not one row of logits for each image, or a logit that is NaN.
    """
    # Its own, to change as it likes: others may be views of the caller's images.
    logits = np.asarray(predict(np.array(images)))
    wanted = "classes" if classes is None else classes
    if logits.ndim != 2 or len(logits) != len(images) or 0 in logits.shape:
        raise ValueError(
            f"predict must give logits [{len(images)}, {wanted}] for images "
            f"{images.shape}, got shape {logits.shape}"
        )
    if classes is not None and logits.shape[1] != classes:
        raise ValueError(
            f"predict gave {logits.shape[1]} classes, and {classes} in another call"
        )
    if np.isnan(logits).any():
        raise ValueError("predict gave logits that are not numbers (NaN)")
    return logits


def classes_of(predict: Predict, images: Images) -> int:
    """How many classes `predict` tells apart, asked three times about the same images.

    Raises:
        ValueError: as `logits_of` and `steady_answer`.
    """
    return steady_answer(
        "predict", functools.partial(logits_of, predict), images
    ).shape[1]


def steady_answer(
    name: str, function: Callable[[np.ndarray], np.ndarray], inputs: np.ndarray
) -> np.ndarray:
    """What the function gives of a batch: twice the same, and of each input by itself.

    Args:
        name: what an error calls the function.

    Raises:
        ValueError: two answers about one input differ by more than a thousandth of the
            largest magnitude, on the same batch or on one with other inputs.
    """
    first = function(inputs)
    _check_same(
        first,
        function(inputs),
        f"{name} changes between calls on the same images",
        "is dropout left on?",
    )
    kept = max(1, len(inputs) // 2)
    # Of one shape with the batch, so that nothing is compiled for it.
    others = np.broadcast_to(inputs[:1], inputs[kept:].shape)
    _check_same(
        first[:kept],
        function(np.concatenate([inputs[:kept], others]))[:kept],
        f"{name} changes with the other images of a batch",
        "is BatchNorm in training mode?",
    )
    return first


def _check_same(first: np.ndarray, second: np.ndarray, what: str, why: str) -> None:
    known = np.isfinite(first) & np.isfinite(second)
    before, after = (np.where(known, x, 0).astype(float) for x in (first, second))
    change, largest = np.abs(after - before).max(), np.abs(before).max()
    if change > _ROUNDING * largest or not np.array_equal(
        first[~known], second[~known]
    ):
        raise ValueError(
            f"{what}, by up to {change:.3g} where the largest is {largest:.3g}: {why}"
        )


def probabilities_of(logits: Logits) -> Float[np.ndarray, "examples classes"]:
    """The softmax of `logits`, in double precision."""
    logits = logits.astype(np.float64)
    exponents = np.exp(logits - logits.max(-1, keepdims=True))
    return exponents / exponents.sum(-1, keepdims=True)
