"""Images that move, against a loop over their pixels."""

import itertools

import numpy as np
import pytest

from cnnlab.diagnostics.shifts import accuracy_under_shifts, translate


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(1, 256, (3, 4, 2, 2), np.uint8)


def moved_by_loops(images, dy, dx):
    moved = np.zeros_like(images)
    height, width = images.shape[1:3]
    for row, column in itertools.product(range(height), range(width)):
        if 0 <= row - dy < height and 0 <= column - dx < width:
            moved[:, row, column] = images[:, row - dy, column - dx]
    return moved


@pytest.mark.parametrize("dx", range(-3, 4))
@pytest.mark.parametrize("dy", [*range(-3, 4), -5, -4, 4, 5])
def test_translate_equals_the_loop(images, dy, dx):
    got = translate(images, dy, dx)
    np.testing.assert_array_equal(got, moved_by_loops(images, dy, dx))
    assert got.dtype == images.dtype


def test_translate_leaves_its_input_alone(images):
    before = images.copy()
    translate(images, 0, 0)[:] = 0
    np.testing.assert_array_equal(images, before)


def test_accuracy_under_shifts_asks_about_the_moved_images():
    # Image k is bright in column k alone, and the class is the brightest column.
    images = np.zeros((4, 2, 4, 1), np.uint8)
    labels = np.arange(4)
    images[labels, :, labels] = 9

    def predict(images):
        return images.sum(axis=(1, 3)).astype(np.float32)

    shifts = [(0, 0), (1, 0), (0, 1), (0, -1), (0, 3)]
    got = accuracy_under_shifts(predict, images, labels, shifts, batch_size=3)
    # Where nothing is left the scores are 0, for which argmax says class 0: that is
    # right for image 0 alone, which goes when images move to the left.
    np.testing.assert_array_equal(got.accuracy, [1, 1, 0, 1 / 4, 0])
    assert got.shifts == tuple(shifts)
    around = accuracy_under_shifts(predict, images, labels, shifts, motion="circular")
    np.testing.assert_array_equal(around.accuracy, [1, 1, 0, 0, 0])
    assert [(one.mean, one.n) for one in around.intervals[:2]] == [(1, 4), (1, 4)]


@pytest.mark.parametrize(
    "images, shift, message",
    [
        (np.zeros((2, 8, 8, 1)), (0, 99), "8x8 go from -7 to 7 in dx, got 99"),
        (np.zeros((2, 8, 8, 1)), (0, 0.5), "zero shifts go by whole pixels"),
        (np.zeros((2, 8, 8, 1)), (0,), r"must be pairs \(dy, dx\), got"),
        (np.zeros((2, 8, 8, 1)), (0, np.nan), r"must be pairs \(dy, dx\), got"),
        (np.zeros((8, 8, 1)), (0, 1), "images must be"),
        (np.full((2, 8, 8, 1), np.nan), (0, 1), "finite"),
    ],
)
def test_accuracy_is_not_asked_of_what_are_no_images(images, shift, message):
    with pytest.raises(ValueError, match=message):
        accuracy_under_shifts(
            lambda x: np.zeros((len(x), 3)), images, np.zeros(2, int), [shift]
        )
