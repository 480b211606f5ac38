"""What a network says of an image by many looks at it: crops, mirrors, scales.

Functions of any `predict(images) -> logits`, giving probabilities of classes. They
compose: `multi_scale(lambda x: dense(predict_map, x), images, (256, 384, 512))`.
"""

from collections.abc import Callable, Iterable, Sequence

import jax
import numpy as np
from jaxtyping import Float, Num

from cnnlab.ops.arguments import check_array, check_count, check_integer

Images = Num[np.ndarray, "examples height width channels"]
Probabilities = Float[np.ndarray, "examples classes"]


def ten_crop(
    predict: Callable[[Images], Float[np.ndarray, "examples classes"]],
    images: Images,
    size: int,
) -> Probabilities:
    """The mean probabilities for the corners, the centre, and their mirror images.

    Args:
        size: of the square crops, a side.

    Raises:
        ValueError: the images do not hold such a crop.

    Source: Krizhevsky, Sutskever and Hinton, 2012, section 4.1, "ImageNet
    classification with deep convolutional neural networks".
    """
    bottom, right = _room(images, size)
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
    corners = [*corners, (bottom // 2, right // 2)]
    return _over_looks(predict, _crops(images, size, corners))


def grid_crops(
    predict: Callable[[Images], Float[np.ndarray, "examples classes"]],
    images: Images,
    size: int,
    per_side: int = 5,
) -> Probabilities:
    """The mean probabilities for a regular grid of crops, and their mirror images.

    Args:
        size: of the square crops, a side.
        per_side: how many crops lie beside one another, from margin to margin; one lies
            in the centre.

    Raises:
        ValueError: the images do not hold such a crop, or `per_side` is below 1.

    Source: Simonyan and Zisserman, 2015, section 4.3 (50 crops a scale),
    https://arxiv.org/abs/1409.1556.
    """
    room = _room(images, size)
    check_count("per_side", per_side)
    rows, columns = (
        np.linspace(0, r, per_side).round().astype(int) if per_side > 1 else [r // 2]
        for r in room
    )
    corners = [(row, column) for row in rows for column in columns]
    return _over_looks(predict, _crops(images, size, corners))


def square_crops(
    predict: Callable[[Images], Float[np.ndarray, "examples classes"]],
    images: Images,
    size: int,
) -> Probabilities:
    """The mean probabilities for six looks at each of three squares, and mirror images.

    The squares are as large as the smallest side, and lie at both ends of the longer
    one and in its middle; of a square image all are one. The looks are the square's
    corners, its centre, and the square itself, resized to the crops' size.

    Args:
        size: of the square crops, a side.

    Raises:
        ValueError: the images do not hold such a crop.

    Source: as `googlenet_crops`.
    """
    bottom, right = _room(images, size)
    side = min(images.shape[1:3])
    room = side - size
    corners = [(0, 0), (0, room), (room, 0), (room, room), (room // 2, room // 2)]

    def looks():
        for along in (0, 0.5, 1):
            y, x = (int(along * (end - room)) for end in (bottom, right))
            square = images[:, y : y + side, x : x + side]
            yield from _crops(square, size, corners)
            yield resize(square, size)

    return _over_looks(predict, looks())


def googlenet_crops(
    predict: Callable[[Images], Float[np.ndarray, "examples classes"]],
    images: Images,
    size: int = 224,
    smallest_sides: Sequence[int] = (256, 288, 320, 352),
) -> Probabilities:
    """The mean probabilities for 144 crops: `square_crops` at four scales.

    Args:
        size: of the square crops, a side.
        smallest_sides: as in `resize`.

    Raises:
        ValueError: a scale does not hold such a crop, or there is none.

    Source: Szegedy et al., 2014, "Going deeper with convolutions", section 7,
    https://arxiv.org/abs/1409.4842.
    """
    return multi_scale(
        lambda images: square_crops(predict, images, size), images, smallest_sides
    )


def dense(
    predict_map: Callable[[Images], Float[np.ndarray, "examples rows columns classes"]],
    images: Images,
) -> Probabilities:
    """The probabilities by the mean of a map of scores, and of the mirror image's.

    Scores are averaged over places, probabilities over the image and its mirror image.

    Args:
        predict_map: a network whose head is a convolution.

    Raises:
        ValueError: it gives no map.

    Source: Simonyan and Zisserman, 2015, section 3.2, https://arxiv.org/abs/1409.1556.
    """

    def predict(images):
        scores = np.asarray(predict_map(images))
        if scores.ndim != 4:
            raise ValueError(
                "predict_map must give scores [examples, rows, columns, classes], "
                f"got shape {scores.shape}"
            )
        return scores.mean((1, 2))

    _check(images)
    return _mean(_probabilities(predict, view) for view in (images, images[:, :, ::-1]))


def multi_scale(
    evaluate: Callable[[Images], Probabilities],
    images: Images,
    smallest_sides: Sequence[int],
) -> Probabilities:
    """The mean probabilities for the images at several sizes.

    Args:
        evaluate: gives probabilities, such as `ten_crop` or `dense` of a network.
        smallest_sides: as in `resize`.

    Raises:
        ValueError: they are no sequence or an empty one, or one is below 1.

    Source: Simonyan and Zisserman, 2015, section 4.2, https://arxiv.org/abs/1409.1556.
    """
    if np.ndim(smallest_sides) != 1 or not len(smallest_sides):
        raise ValueError(
            f"smallest_sides must name at least one size, got {smallest_sides!r}"
        )
    return _mean(evaluate(resize(images, side)) for side in smallest_sides)


def resize(
    images: Images, smallest_side: int
) -> Float[np.ndarray, "examples new_height new_width channels"]:
    """`images` with their smallest side of that size, in the same proportions.

    By `jax.image.resize`, bilinear, with a filter against aliasing where they shrink;
    the longer side is rounded to whole pixels. The papers do not say how they resize.

    Raises:
        ValueError: `smallest_side` is below 1, or the images are no maps.
    """
    height, width = _check(images)
    check_count("smallest_side", smallest_side)
    smallest = min(height, width)
    sides = (round(side * smallest_side / smallest) for side in (height, width))
    shape = (images.shape[0], *sides, images.shape[3])
    pixels = np.asarray(images, np.promote_types(images.dtype, np.float32))
    return np.asarray(jax.image.resize(pixels, shape, "bilinear", antialias=True))


def _check(images) -> tuple[int, int]:
    """The height and width of `images`."""
    check_array("images", images)
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            "images must be [examples, height, width, channels], none of them 0, "
            f"got shape {images.shape}"
        )
    return images.shape[1:3]


def _room(images, size: int) -> tuple[int, int]:
    """How far a crop can move down and to the right."""
    height, width = _check(images)
    check_integer("size", size)
    if not 1 <= size <= min(height, width):
        raise ValueError(
            f"size {size} of crops must be 1 to {min(height, width)} "
            f"for images of {height}x{width}"
        )
    return height - size, width - size


def _crops(images, size, corners):
    """The squares of that size that begin at `corners`, in turn."""
    return (images[:, y : y + size, x : x + size] for y, x in corners)


def _over_looks(predict, looks) -> Probabilities:
    """The mean over `looks` and their mirror images, one prediction at a time."""
    views = (view for look in looks for view in (look, look[:, :, ::-1]))
    return _mean(_probabilities(predict, view) for view in views)


def _probabilities(predict, images) -> Probabilities:
    logits = np.asarray(predict(images))
    if logits.ndim != 2 or len(logits) != len(images):
        raise ValueError(
            f"predict must give logits [{len(images)}, classes], "
            f"got shape {logits.shape}"
        )
    return np.asarray(jax.nn.softmax(logits))


def _mean(views: Iterable[Probabilities]) -> Probabilities:
    total, count = 0, 0
    for view in views:
        total, count = total + np.asarray(view), count + 1
    return total / count
