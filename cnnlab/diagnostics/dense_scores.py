"""How far the scores of a sliding network are from those of the crops below them."""

from collections.abc import Callable

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
        ValueError: there are not as many places on the map as crops in the image.
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
        difference[:, row, column] -= np.asarray(predict(crops))
    return difference
