"""Two squares on black, told apart by their order alone: red left of green, or not.

Where the squares are says the class too: the first class lies in the upper part of the
image and the second in the lower. A net that cannot tell absolute position has to
learn the order; one that can may learn the part of the image instead, and then fails
on `elsewhere`, where order and part are at odds.

Source: Kayhan and van Gemert, 2020, "On translation invariance in CNNs: convolutional
    layers can exploit absolute spatial location", section 4.1,
    https://arxiv.org/abs/2003.07064. The published generator starts from the same seed
    in each call, so that its validation and test images are its first training images;
    here no image is drawn twice, in one split or in two.
"""

import numpy as np
from jaxtyping import Int, UInt8

from cnnlab.errors import UserError

CLASS_NAMES = ("red, green", "green, red")

IMAGE_SIZE = 32
_SQUARE = 4
# Rows that the first class' squares keep to; the second's are half an image below.
_ROWS = range(3, 14)
_BELOW = IMAGE_SIZE // 2
ELSEWHERE = _BELOW, 0
"""The circular shift, down and to the right, to the other class' part of the image."""

Images = UInt8[np.ndarray, "examples 32 32 3"]


def layouts() -> Int[np.ndarray, "layouts 4"]:
    """Every place of the squares: row and column of the left one, then of the right.

    Their columns do not touch; rows are counted within the class' part of the image.
    """
    tops = np.arange(_ROWS.start, _ROWS.stop - _SQUARE + 1)
    lefts = np.arange(IMAGE_SIZE - _SQUARE + 1)
    every = np.stack(np.meshgrid(tops, lefts, tops, lefts, indexing="ij"), -1)
    every = every.reshape(-1, 4)
    return every[every[:, 3] - every[:, 1] > _SQUARE]


def draw(
    layouts: Int[np.ndarray, "examples 4"], labels: Int[np.ndarray, " examples"]
) -> Images:
    """The images of these layouts under these classes."""
    images = np.zeros((len(labels), IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    for image, places, label in zip(images, layouts, labels, strict=True):
        for square, (top, left) in enumerate(places.reshape(2, 2)):
            rows = slice(top + _BELOW * label, top + _BELOW * label + _SQUARE)
            image[rows, left : left + _SQUARE, square ^ label] = 255
    return images


def splits(
    seed: int, sizes: tuple[int, ...]
) -> list[tuple[Images, Int[np.ndarray, " examples"]]]:
    """Images and labels of splits that have no image in common, classes in turn.

    Raises:
        UserError: more images than there are.
    """
    every = layouts()
    wanted = [-(-size // len(CLASS_NAMES)) for size in sizes]
    if sum(wanted) > len(every):
        raise UserError(
            "train_examples",
            f"{' and '.join(f'{size:,}' for size in sizes)} images are more than the "
            f"{len(every) * len(CLASS_NAMES):,} of red_green",
        )
    generator = np.random.default_rng(seed)
    drawn = [generator.permutation(every) for _ in CLASS_NAMES]
    found, start = [], 0
    for size, count in zip(sizes, wanted, strict=True):
        labels = (np.arange(size) % len(CLASS_NAMES)).astype(np.int32)
        chosen = np.stack([each[start : start + count] for each in drawn], axis=1)
        found.append((draw(chosen.reshape(-1, 4)[:size], labels), labels))
        start += count
    return found


def elsewhere(images: Images) -> Images:
    """The same orders in the other class' part of the image: half an image below.

    On a torus: the second class' squares come in at the top.
    """
    return np.roll(images, ELSEWHERE, (1, 2))
