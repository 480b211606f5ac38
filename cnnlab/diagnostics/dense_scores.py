"""How far the scores of a sliding network are from those of the crops below them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num

Images = Num[np.ndarray, "examples height width channels"]
Scores = Float[np.ndarray, "examples classes"]
ScoreMap = Float[np.ndarray, "examples rows columns classes"]


def crop_difference(
    predict_map: Callable[[Images], ScoreMap],
    predict: Callable[[Images], Scores],
    images: Images,
    stride: int,
    size: int,
) -> ScoreMap:
    """The map of scores less, at every place, the scores of the crop that lies there.

    Zero to rounding everywhere for a network without padding, and nowhere for one that
    pads its maps: a crop's margin meets padding, the image's goes on.

    Args:
        predict_map: the network with its head as a convolution.
        predict: the same network and weights on single crops.
        stride: by how many pixels places next to one another are apart: the product of
            the network's strides.
        size: of the crops, a side: what leaves a map of one place.

    Raises:
        ValueError: there are not as many places on the map as crops in the image, or
            not as many classes.
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(
            f"images must be [examples, height, width, channels], got shape "
            f"{images.shape}"
        )
    if stride < 1 or not 1 <= size <= min(images.shape[1:3]):
        raise ValueError(
            f"stride {stride} must be at least 1, and size {size} at least 1 and no "
            f"larger than images of {images.shape[1]}x{images.shape[2]}"
        )
    rows, columns = ((side - size) // stride + 1 for side in images.shape[1:3])
    scores = np.asarray(predict_map(images))
    if scores.ndim != 4 or scores.shape[1:3] != (rows, columns):
        raise ValueError(
            f"images of {images.shape[1]}x{images.shape[2]} hold {rows}x{columns} "
            f"crops of {size} every {stride} pixels, but the scores have shape "
            f"{scores.shape}"
        )
    difference = scores.copy()
    for row, column in np.ndindex(rows, columns):
        y, x = row * stride, column * stride
        crops = images[:, y : y + size, x : x + size]
        of_crops = np.asarray(predict(crops))
        if of_crops.shape != scores[:, row, column].shape:
            raise ValueError(
                f"crops have scores of shape {of_crops.shape}, and places of the map "
                f"of shape {scores[:, row, column].shape}"
            )
        difference[:, row, column] -= of_crops
    return difference


def margin_difference(
    predict_map: Callable[[Images], ScoreMap],
    images: Images,
    stride: int,
    size: int,
    margin: int,
) -> ScoreMap:
    """The map's inner scores less those in the middle of wider crops.

    Each crop reaches `margin` places further than `crop_difference`'s on every side.
    Once what its middle score sees lies within it, so that no padding does, nothing is
    left of the difference but rounding.

    Args:
        predict_map, stride, size: as for `crop_difference`.
        margin: in places; as many are left out on each side of the map.

    Raises:
        ValueError: `margin` is below 0, or as for `crop_difference`.
    """
    if margin < 0:
        raise ValueError(f"margin {margin} must be at least 0")

    def inner(images):
        scores = np.asarray(predict_map(images))
        rows, columns = (count - margin for count in scores.shape[1:3])
        return scores[:, margin:rows, margin:columns]

    def middle(crops):
        return np.asarray(predict_map(crops))[:, margin, margin]

    return crop_difference(inner, middle, images, stride, size + 2 * margin * stride)


class Summary(NamedTuple):
    """How far places are from their crops, each by the class that is furthest.

    Attributes:
        least, median, most: of the places.
        relative: the most, as a share of the range of all scores.
        equal: the share of places that differ by no more than 1e-5 of that range.
    """

    least: float
    median: float
    most: float
    relative: float
    equal: float


def summary(difference: ScoreMap, scores: ScoreMap) -> Summary:
    """What a difference of `scores` comes to.

    Raises:
        ValueError: there are no places, or the scores are all the same.
    """
    furthest = np.abs(difference).max(-1)
    spread = float(np.ptp(scores)) if scores.size else 0.0
    if not furthest.size or not spread > 0:
        raise ValueError(
            f"a difference of shape {difference.shape}, of scores within {spread}, has "
            "no summary"
        )
    least, median, most = map(float, np.quantile(furthest, (0, 0.5, 1)))
    equal = float(np.mean(furthest <= 1e-5 * spread))
    return Summary(least, median, most, most / spread, equal)
