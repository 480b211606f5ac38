"""Diagonal steps, and turns with moves, where the answer is known in closed form."""

import numpy as np
import pytest

from cnnlab.diagnostics import shifts
from cnnlab.diagnostics.shifts.engstrom import turned_and_moved


def checkered(images):
    """Logit 2 for the class that the colour of the bright pixel's row and column is."""
    rows, columns = np.arange(images.shape[1]), np.arange(images.shape[2])
    colour = (np.add.outer(rows, columns) // 2) % 2
    return 2 * np.einsum("nhwc,hwk->nk", images, np.eye(2)[colour])


@pytest.fixture
def dots():
    """One bright pixel each, in the first corner."""
    images = np.zeros((40, 3, 3, 1))
    images[:, 0, 0] = 1
    return images


def test_steps_across_a_checkered_field_change_the_class_each_time(dots):
    # A diagonal step moves row + column by 2, and so to the other colour.
    got = shifts.measure(checkered, dots, "azulay_2019(canvas=12, steps=4, seed=3)")
    assert got.changes.shape == (40, 4) and got.top1_change.mean == 1
    np.testing.assert_array_equal(got.jaggedness, 4)
    high, low = np.exp(2) / (np.exp(2) + 1), 1 / (np.exp(2) + 1)
    np.testing.assert_allclose(got.probability_changes, high - low, rtol=1e-6)
    assert got.mean_absolute_change.mean == pytest.approx(high - low)
    # The map shows the class on top at the start.
    np.testing.assert_allclose(got.probabilities[:, ::2], high, rtol=1e-6)
    np.testing.assert_allclose(got.probabilities[:, 1::2], low, rtol=1e-6)
    # Starts leave room for the path, and use all of it.
    assert got.starts.min() == 0 and got.starts.max() == 12 - 3 - 4
    labelled = shifts.measure(checkered, dots, got.spec, np.zeros(40, int))
    is_zero = got.starts.sum(1) // 2 % 2 == 0
    wanted = np.where(is_zero, high, low)
    np.testing.assert_allclose(labelled.probabilities[:, 0], wanted, rtol=1e-6)


def test_a_window_steps_through_larger_images():
    # The first pixel of the window tells its offset; the class is the row's parity.
    places = np.arange(8)[:, None] * 10.0 + np.arange(8)
    images = np.broadcast_to(places[None, :, :, None], (9, 8, 8, 1))
    offsets = []

    def predict(images):
        assert images.shape[1:3] == (4, 4)
        offsets.append(images[:, 0, 0, 0].astype(int))
        return np.eye(2)[offsets[-1] // 10 % 2]

    spec = "azulay_2019(motion='crop', canvas=8, crop=4, steps=2)"
    got = shifts.measure(predict, images, spec)
    starts, *steps = offsets[3:]
    np.testing.assert_array_equal(starts, got.starts @ [10, 1])
    for number, step in enumerate(steps, 1):
        np.testing.assert_array_equal(step, starts + 11 * number)
    assert got.changes.all() and len(steps) == 2


@pytest.mark.parametrize("size", [5, 6])
def test_a_quarter_turn_and_whole_moves_are_exact(size):
    images = np.random.default_rng(0).normal(size=(3, size, size, 2))
    moves = np.array([[0, 0, 90], [1, -2, 0], [0, 0, -90]])
    got = turned_and_moved(images, moves)
    np.testing.assert_allclose(got[0], np.rot90(images[0]), atol=1e-5)
    np.testing.assert_allclose(
        got[1], shifts.translate(images[1:2], 1, -2)[0], atol=1e-5
    )
    np.testing.assert_allclose(got[2], np.rot90(images[2], -1), atol=1e-5)


def test_a_turn_comes_before_the_move():
    images = np.random.default_rng(0).normal(size=(1, 7, 7, 1))
    got = turned_and_moved(images, np.array([[2, 1, 90]]))
    wanted = shifts.translate(np.rot90(images, axes=(1, 2)), 2, 1)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def in_the_middle(images):
    """Class 1 where the bright pixel stays in the middle 5 of 9 rows and columns."""
    inside = images[:, 2:7, 2:7].sum((1, 2, 3))
    return np.stack([images.sum((1, 2, 3)) - inside, inside], -1)


def test_correct_is_what_stays_right_under_all_that_was_tried():
    pixels = [(4, 4), (4, 3), (4, 5), (0, 0)]
    images = np.zeros((4, 9, 9, 1), np.uint8)
    for number, (y, x) in enumerate(pixels):
        images[number, y, x] = 200
    labels = np.array([1, 1, 1, 1])
    spec = "engstrom_2019(pixels=2, degrees=0, translations=5, angles=1)"
    got = shifts.measure(in_the_middle, images, spec, labels, batch_size=3)
    # Moves by -2..2 keep the centre inside; one beside it is lost in one column of 5.
    np.testing.assert_array_equal(got.unmoved, [True, True, True, False])
    np.testing.assert_allclose(got.tried[:3], [1, 4 / 5, 4 / 5])
    assert got.natural.mean == 3 / 4 and got.worst.mean == 1 / 4
    # The corner reaches (2, 2) at (2, 2) alone.
    assert got.tried[3] == 1 / 25
    assert got.average.mean == pytest.approx(got.tried.mean())


def test_images_of_bytes_are_asked_about_as_their_moved_ones_are():
    asked = []

    def predict(images):
        asked.append(images.dtype)
        return in_the_middle(images)

    images = np.full((2, 9, 9, 1), 7, np.uint8)
    shifts.measure(predict, images, "engstrom_2019(pixels=1, angles=1)", [1, 1])
    # Of the images as they came it was only asked whether it is steady.
    assert set(asked[3:]) == {np.dtype(np.float32)}


def test_the_worst_of_ten_is_worse_than_one_and_the_grid_worse_still():
    images = np.zeros((60, 9, 9, 1), np.float32)
    images[:, 4, 3] = 1
    labels = np.ones(60, int)
    attacks = ["random", "worst_of_10", "grid"]
    worst = [
        shifts.measure(
            in_the_middle,
            images,
            f"engstrom_2019(attack={attack!r}, pixels=2, degrees=5, angles=1)",
            labels,
        ).worst.mean
        for attack in attacks
    ]
    # A move beyond -1.5 in x puts more than half of the pixel outside: 1 in 8.
    assert worst[0] == pytest.approx(7 / 8, abs=0.15)
    assert worst[1] == pytest.approx((7 / 8) ** 10, abs=0.2)
    assert worst[2] == 0
