"""The change of what a function says, by small steps: for functions that JAX cannot
trace."""

import numpy as np

from cnnlab.diagnostics.over_images import floating
from cnnlab.diagnostics.places import Place
from cnnlab.diagnostics.predictions import (
    Images,
    Predict,
    checked_images,
    classes_of,
    logits_of,
)
from cnnlab.diagnostics.specs import spec_of
from cnnlab.diagnostics.tomography.generators import (
    checked_centre,
    checked_transformations,
    motions_of,
    moved,
)
from cnnlab.diagnostics.tomography.results import Invariance
from cnnlab.ops.arguments import check_count, check_number


def invariance_error(
    predict: Predict,
    images: Images,
    transformation: str = "translation",
    *,
    boundary: str | None = None,
    centre: tuple[float, float] | None = None,
    step: float = 1e-2,
    batch_size: int = 256,
) -> Invariance:
    """Each image's squared rate of change of the logits, relative to their square.

    With f = `predict`, the generator G of each motion and h = `step`,

        error = sum over motions of |f(x + h G x) - f(x - h G x)|^2 / (2 h |f(x)|)^2

    per pixel^2, radian^2 or (factor of e)^2. As h goes to 0 it is the `cumulative`
    error of an invariant value in `equivariance_error`, for any function of arrays.

    Args:
        boundary, centre: as in `equivariance_error`.
        step: how far the images are moved, in the motion's unit. The error is off by
            the order of its square, and by rounding over it.

    Raises:
        TypeError: images that are no array of a floating-point dtype.
        ValueError: images not [examples, height, width, channels] or not finite; an
            unknown transformation or boundary; a step that is not above 0; logits of
            the wrong shape, or that change between calls.
    """
    images = floating(checked_images(images))
    (name,) = checked_transformations((transformation,))
    motions = motions_of(name, boundary)
    centre = checked_centre(centre, images.shape[1:3])
    check_count("batch_size", batch_size)
    check_number("step", step)
    if not 0 < step < np.inf:
        raise ValueError(f"step {step} must be above 0")
    place = Place(0, (1, 2), (1, 1), (0, 0))
    first = images[:batch_size]
    classes_of(predict, first)
    errors = []
    for start in range(0, len(images), batch_size):
        some = images[start : start + batch_size]
        size = _energy(logits_of(predict, some))
        change = np.zeros(len(some))
        for motion in motions:
            along = (step * moved(some, place, motion, centre)).astype(images.dtype)
            ahead, behind = (
                logits_of(predict, some + sign * along).astype(np.float64)
                for sign in (1, -1)
            )
            change += _energy((ahead - behind) / (2 * step))
        nothing = (change == 0) & (size == 0)
        errors.append(np.divide(change, size, out=np.zeros_like(size), where=~nothing))
    options = dict(transformation=name, boundary=boundary, centre=centre, step=step)
    return Invariance(spec_of("invariance_error", **options), np.concatenate(errors))


def _energy(logits: np.ndarray) -> np.ndarray:
    return np.square(logits.astype(np.float64)).sum(-1)
