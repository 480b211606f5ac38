"""The scores of a sliding network, and those of crops one by one."""

import numpy as np
import pytest

from cnnlab.diagnostics.dense_scores import (
    crop_difference,
    margin_difference,
    summary,
)


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


@pytest.mark.parametrize(
    "predict_crop, shape", [(lambda x: predict(x)[:, :4], 4), (predict_map, "1, 1, 6")]
)
def test_crops_with_other_scores_than_the_map_are_refused(images, predict_crop, shape):
    message = rf"scores of shape \(2, {shape}\), and places .* of shape \(2, 6\)$"
    with pytest.raises(ValueError, match=message):
        crop_difference(predict_map, predict_crop, images, 2, 5)


def padded_map(images):
    """The same of every place and its neighbours, beyond the image zeros."""
    scores = predict_map(images)
    rows, columns = scores.shape[1:3]
    around = np.pad(scores, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(
        around[:, row : row + rows, column : column + columns]
        for row, column in np.ndindex(3, 3)
    )


def test_a_margin_takes_from_the_crops_what_padding_does_to_them():
    images = np.random.default_rng(0).normal(size=(2, 19, 20, 3)).astype(np.float32)
    for margin, shape in ((0, (8, 8)), (1, (6, 6)), (2, (4, 4)), (3, (2, 2))):
        plain = margin_difference(predict_map, images, 2, 5, margin)
        padded = margin_difference(padded_map, images, 2, 5, margin)
        assert plain.shape == padded.shape == (2, *shape, 6)
        assert (plain == 0).all()
        if margin == 0:
            assert (abs(padded).max(-1) > 1e-3).all()
        else:
            np.testing.assert_allclose(padded, 0, atol=1e-4)


def test_a_margin_is_no_larger_than_the_image_and_not_negative(images):
    with pytest.raises(ValueError, match="margin -1 must be at least 0"):
        margin_difference(predict_map, images, 2, 5, -1)
    with pytest.raises(ValueError, match="size 13 at .* no larger than images of 9x12"):
        margin_difference(predict_map, images, 2, 5, 2)


def test_a_summary_is_of_the_furthest_class_of_each_place():
    scores = np.zeros((1, 2, 2, 3))
    scores[0, 0, 0] = 5, -3, 0
    difference = np.array([[[[0, -4, 1], [0, 0, 8e-5]], [[2, 1, 0], [0, 0, 0]]]])
    found = summary(difference, scores)
    assert found == pytest.approx((0, (2 + 8e-5) / 2, 4, 0.5, 0.5))
    with pytest.raises(ValueError, match="has no summary"):
        summary(difference, np.ones_like(scores))
