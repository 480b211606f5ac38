import numpy as np
import pytest

from cnnlab import data
from cnnlab.data import red_green
from cnnlab.errors import UserError


def squares(image):
    """The rows and columns that red and green take."""
    places = [np.nonzero(image[..., channel]) for channel in (0, 1)]
    return [
        (rows.min(), rows.max(), columns.min(), columns.max())
        for rows, columns in places
    ]


def test_the_order_and_the_part_of_the_image_say_the_class():
    for split in (data.load("red_green").train, data.load("red_green").test):
        for image, label in zip(split.images[:400], split.labels, strict=False):
            assert sorted(np.unique(image)) == [0, 255]
            assert image[..., 2].max() == 0
            assert (image > 0).sum() == 2 * 16
            red, green = squares(image)
            assert (red[3] < green[2]) == (label == 0)
            for top, bottom, *_ in (red, green):
                assert 3 <= top - 16 * label
                assert bottom - 16 * label <= 13


def test_no_image_is_drawn_twice():
    dataset = data.load("red_green", train_examples=1500, test_examples=700)
    both = np.concatenate([dataset.train.images, dataset.test.images])
    assert len(np.unique(both.reshape(len(both), -1), axis=0)) == 2200


def test_there_are_as_many_layouts_as_places_and_no_more_can_be_drawn():
    every = red_green.layouts()
    # Eight rows for each square, and pairs of 29 columns at least 5 apart.
    assert len(every) == 8 * 8 * sum(29 - gap for gap in range(5, 29))
    assert len(np.unique(every, axis=0)) == len(every)
    with pytest.raises(UserError, match="more than the 38,400 of red_green"):
        red_green.splits(0, (2 * len(every), 1))


def test_elsewhere_the_order_is_in_the_other_class_s_part():
    split = data.load("red_green", test_examples=50).test
    for image, label in zip(
        red_green.elsewhere(split.images), split.labels, strict=True
    ):
        red, green = squares(image)
        assert (red[3] < green[2]) == (label == 0)
        for top, bottom, *_ in (red, green):
            assert 3 <= top - 16 * (1 - label)
            assert bottom - 16 * (1 - label) <= 13


def test_the_set_is_the_same_each_time():
    first, again = data.load("red_green"), data.load("red_green")
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != data.load("red_green", train_examples=100).fingerprint
