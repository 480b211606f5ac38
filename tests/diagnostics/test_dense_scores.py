"""The scores of a sliding network, and those of crops one by one."""

import numpy as np
import pytest

from cnnlab.diagnostics.dense_scores import crop_difference


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(2, 9, 12, 3)).astype(np.float32)


def predict(crops):
    """The sums and the largest entries of each channel."""
    return np.concatenate([crops.sum((1, 2)), crops.max((1, 2))], -1)


def predict_map(images, stride=2, size=5):
    rows, columns = ((side - size) // stride + 1 for side in images.shape[1:3])
    scores = np.zeros((len(images), rows, columns, 6), np.float32)
    for row, column in np.ndindex(rows, columns):
        y, x = stride * row, stride * column
        scores[:, row, column] = predict(images[:, y : y + size, x : x + size])
    return scores


def test_scores_that_are_their_crops_differ_by_nothing(images):
    difference = crop_difference(predict_map, predict, images, 2, 5)
    assert difference.shape == (2, 3, 4, 6) and (difference == 0).all()


def test_the_difference_is_the_maps_less_the_crops(images):
    added = np.random.default_rng(1).normal(size=(2, 3, 4, 6)).astype(np.float32)
    got = crop_difference(lambda x: predict_map(x) + added, predict, images, 2, 5)
    np.testing.assert_allclose(got, added, atol=1e-4)


@pytest.mark.parametrize(
    "stride, size, message",
    [
        (3, 5, "9x12 hold 2x3 crops of 5 every 3 pixels.* shape .2, 3, 4, 6.$"),
        (0, 5, "stride 0 must be at least 1"),
        (2, 10, "size 10 at least 1 and no larger than images of 9x12"),
    ],
)
def test_crops_that_do_not_fit_the_map_are_refused(images, stride, size, message):
    with pytest.raises(ValueError, match=message) as error:
        crop_difference(predict_map, predict, images, stride, size)
    assert "\n" not in str(error.value)


def test_a_network_without_a_map_is_refused(images):
    with pytest.raises(ValueError, match=r"the scores have shape \(2, 6\)"):
        crop_difference(predict, predict, images, 2, 5)
