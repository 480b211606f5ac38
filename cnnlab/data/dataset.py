"""A labelled image set as plain arrays."""

import dataclasses

import numpy as np

from cnnlab.errors import UserError

# The sets that are drawn when they are loaded.
DRAWN = ("glyphs", "red_green")


@dataclasses.dataclass(frozen=True)
class Split:
    """Images, uint8 [n, height, width, channels], and labels, int32 [n]."""

    images: np.ndarray
    labels: np.ndarray

    def first(self, count: int) -> "Split":
        """The first `count` examples, as views."""
        return Split(self.images[:count], self.labels[:count])


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A training and a test split whose arrays have been checked against each other.

    `fingerprint` is 64 hex digits that change whenever an image or a label could.

    Raises:
      UserError: arrays of another dtype or shape, an empty split, or a label that
        names no class.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    fingerprint: str

    def __post_init__(self):
        for split_name in ("train", "test"):
            fault = _fault(getattr(self, split_name), self.num_classes)
            if fault:
                raise UserError(
                    "dataset", f"{self.name!r}, {split_name} split: {fault}"
                )
        train_shape, test_shape = self.image_shape, self.test.images.shape[1:]
        if train_shape != test_shape:
            raise UserError(
                "dataset",
                f"{self.name!r}: train images are {train_shape} and test images "
                f"{test_shape}; one shape is needed",
            )

    @property
    def num_classes(self) -> int:
        """The number of classes, whether or not each has an example."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.train.images.shape[1:]

    def summary(self) -> str:
        """One line: sizes of the splits, image shape and number of classes."""
        shape = "x".join(map(str, self.image_shape))
        return (
            f"{self.name}: {len(self.train.labels):,} train and "
            f"{len(self.test.labels):,} test images, {shape}, "
            f"{self.num_classes} classes"
        )


def _fault(split: Split, num_classes: int) -> str | None:
    images, labels = split.images, split.labels
    if images.dtype != np.uint8 or images.ndim != 4:
        return (
            f"images are {images.dtype} {list(images.shape)}; "
            "uint8 [n, height, width, channels] is needed"
        )
    if labels.dtype != np.int32 or labels.ndim != 1:
        return f"labels are {labels.dtype} {list(labels.shape)}; int32 [n] is needed"
    if len(images) != len(labels):
        return f"{len(images)} images but {len(labels)} labels"
    if images.size == 0:
        return "no images"
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if outside.size:
        index = outside[0]
        return (
            f"label {labels[index]} of example {index} is outside "
            f"0..{num_classes - 1} ({outside.size} such)"
        )
    return None
