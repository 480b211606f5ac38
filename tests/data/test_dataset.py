import numpy as np
import pytest

from cnnlab.data import Dataset, Split
from cnnlab.errors import UserError


def make(*, images=None, labels=None, test=None):
    images = np.zeros((4, 3, 5, 1), np.uint8) if images is None else images
    labels = np.array([0, 1, 1, 0], np.int32) if labels is None else labels
    train = Split(images, labels)
    return Dataset("tiny", train, test or train, ("no", "yes"), "0" * 64)


def test_it_knows_its_shape_and_classes():
    dataset = make()
    assert dataset.image_shape == (3, 5, 1)
    assert dataset.num_classes == 2
    assert dataset.summary() == ("tiny: 4 train and 4 test images, 3x5x1, 2 classes")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"images": np.zeros((4, 3, 5, 1), np.float32)}, "float32"),
        ({"images": np.zeros((4, 3, 5), np.uint8)}, r"\[4, 3, 5\]"),
        ({"images": np.zeros((3, 3, 5, 1), np.uint8)}, "3 images but 4 labels"),
        ({"labels": np.array([0, 1, 1, 0])}, "int64"),
        ({"labels": np.array([0, 2, 1, 2], np.int32)}, "label 2 of example 1.*2 such"),
        ({"labels": np.array([0, 1, 1, -1], np.int32)}, "label -1 of example 3"),
        (
            {
                "images": np.zeros((0, 3, 5, 1), np.uint8),
                "labels": np.zeros(0, np.int32),
            },
            "no images",
        ),
    ],
)
def test_what_is_no_labelled_image_set_is_refused(change, fault):
    with pytest.raises(UserError, match=f"^dataset: 'tiny', train split: .*{fault}"):
        make(**change)


def test_splits_of_different_shapes_are_refused():
    other = Split(np.zeros((2, 4, 5, 1), np.uint8), np.zeros(2, np.int32))
    with pytest.raises(UserError, match="one shape is needed"):
        make(test=other)
