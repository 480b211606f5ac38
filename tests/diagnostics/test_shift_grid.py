"""Maps over every displacement, and the smallest that changes an image's class."""

import tracemalloc

import numpy as np
import pytest

from cnnlab.diagnostics import shifts

# Images are bright in one pixel, and the class is by where that is.
SIZE = 9
REGION = np.add.outer(np.arange(SIZE) // 3, 3 * (np.arange(SIZE) // 3))
PIXELS = np.array([[4, 4], [3, 4], [0, 8], [2, 2], [5, 5]])


def predict(images):
    regions = np.eye(9)[REGION]
    return np.einsum("nhwc,hwk->nk", images, regions)


@pytest.fixture
def images():
    images = np.zeros((len(PIXELS), SIZE, SIZE, 1), np.float32)
    images[np.arange(len(PIXELS)), PIXELS[:, 0], PIXELS[:, 1], 0] = 1
    return images


def region(y, x):
    """Where a pixel outside leaves an empty image, whose logits are all 0."""
    inside = 0 <= y < SIZE and 0 <= x < SIZE
    return REGION[y, x] if inside else 0


def test_maps_are_those_of_every_displacement(images):
    labels = np.array([4, 4, 6, 0, 0])
    spec = "shift(zero, -2..2 x -1..1, all pairs, per image)"
    got = shifts.grid(predict, images, spec, labels, probabilities=True, batch_size=2)
    wanted = np.array(
        [
            [[region(y + dy, x + dx) for y, x in PIXELS] for dx in (-1, 0, 1)]
            for dy in (-2, -1, 0, 1, 2)
        ]
    )
    np.testing.assert_array_equal(got.classes, wanted)
    assert got.classes.dtype == np.int16
    np.testing.assert_array_equal(got.unshifted, wanted[2, 1])
    np.testing.assert_allclose(got.accuracy, (wanted == labels).mean(-1))
    np.testing.assert_allclose(got.agreement, (wanted == wanted[2, 1]).mean(-1))
    assert got.agreement[2, 1] == 1
    steps = wanted[1:, 1:] != wanted[:-1, :-1]
    np.testing.assert_allclose(got.diagonal_changes, steps.mean(-1))
    # One logit of 1 among zeros, or nine zeros.
    empty = [[not 0 <= x + dx < SIZE for y, x in PIXELS] for dx in (-1, 0, 1)]
    top = np.where(empty, 1 / 9, np.e / (np.e + 8))
    np.testing.assert_allclose(got.probabilities[2], top, rtol=1e-6)
    same = shifts.consistency(predict, images, spec, labels)
    np.testing.assert_array_equal(got.consistency.agreement, same.agreement)
    np.testing.assert_array_equal(got.consistency.chance, same.chance)


@pytest.mark.parametrize(
    "norm, radius",
    [
        # Regions are 3x3, and (4, 4) is the middle of one. (2, 2) is a corner.
        ("max", [2, 1, 1, 1, 1]),
        ("sum", [2, 1, 1, 1, 1]),
        ("euclidean", [2, 1, 1, 1, 1]),
    ],
)
def test_flip_radius_is_the_way_to_the_next_region(images, norm, radius):
    got = shifts.grid(predict, images, "shift(circular, -2..2, all pairs, per image)")
    np.testing.assert_array_equal(got.flip_radius(norm), radius)


def test_norms_differ_along_the_diagonal_and_none_is_infinite(images):
    spec = "shift(circular, 1..2, with the unshifted, per image)"
    got = shifts.grid(predict, images[:1], spec)
    # (1, 2) is the nearest that leads out of the region; home itself is not in it.
    assert got.flip_radius("max") == 2
    assert got.flip_radius("sum") == 3
    assert got.flip_radius("euclidean") == pytest.approx(5**0.5)
    short = "shift(circular, -1..1, all pairs, per image)"
    assert shifts.grid(predict, images[:1], short).flip_radius() == np.inf


def test_radii_of_crops_count_from_the_middle_of_the_canvas():
    images = np.zeros((1, 6, 6, 1), np.float32)
    images[0, 3, 3] = 1
    seen = []

    def predict_crop(images):
        seen.append(images.shape[1:3])
        return images[:, 1:3, 1, 0] @ np.eye(2) + [0, 0.5]

    got = shifts.grid(
        predict_crop,
        images,
        "shift(crop, 0..2, with the unshifted, per image, canvas=6, crop=4)",
    )
    # The pixel stands at row 3 - top, so that it is in row 1 at top 2, left 2 alone.
    assert set(seen) == {(4, 4)} and got.home == (1, 1)
    assert got.unshifted == [1]
    np.testing.assert_array_equal(
        got.classes[..., 0] == 0, np.eye(3)[[0, 0, 2]] * [0, 0, 1]
    )
    assert got.flip_radius() == 1


def test_more_classes_than_two_bytes_hold(images):
    def predict_many(images):
        logits = np.zeros((len(images), 40_000), np.float32)
        logits[:, 39_999] = 1
        return logits

    got = shifts.grid(
        predict_many, images, "shift(circular, 0..1, all pairs, per image)"
    )
    assert (got.classes == 39_999).all()


def test_a_grid_draws_nothing(images):
    with pytest.raises(ValueError, match="draws its shifts"):
        shifts.grid(predict, images, "chaman_2021")
    with pytest.raises(ValueError, match="no shift but the unshifted"):
        spec = "shift(circular, 0..0, with the unshifted, per image)"
        shifts.consistency(predict, images, spec)


def test_more_shifts_take_no_more_than_two_bytes_an_image():
    images = np.zeros((200, 12, 12, 1), np.float32)
    peaks = {}
    for reach in (1, 7):
        spec = f"shift(circular, -{reach}..{reach}, all pairs, per image)"
        tracemalloc.start()
        got = shifts.grid(last_row, images, spec, batch_size=50)
        peaks[reach] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert got.classes.nbytes == (2 * reach + 1) ** 2 * 200 * 2
    # The classes, and far less than a batch (29 kB) for what names each displacement.
    assert peaks[7] - peaks[1] <= (225 - 9) * (200 * 2 + 1000)


def last_row(images):
    return images[:, -1, :, 0]
