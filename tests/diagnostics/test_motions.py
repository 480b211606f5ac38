"""Ways in which images move, against loops and closed forms."""

import itertools

import numpy as np
import pytest

from cnnlab.diagnostics.shifts import Motion, crop_at, embed_at, fourier_shift, roll


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype(np.float32)


def test_roll_brings_back_what_leaves(images):
    moved = roll(images, 2, -1)
    for y, x in itertools.product(range(5), range(6)):
        np.testing.assert_array_equal(
            moved[:, y, x], images[:, (y - 2) % 5, (x + 1) % 6]
        )


def test_a_crop_of_what_was_embedded_is_the_image(images):
    canvas = embed_at(images, 3, 1, (9, 8))
    assert canvas.shape == (2, 9, 8, 3)
    np.testing.assert_array_equal(crop_at(canvas, 3, 1, (5, 6)), images)
    assert canvas.sum() == pytest.approx(images.sum(), rel=1e-4)


@pytest.mark.parametrize("shift", [(0, 0), (2, -1), (-5, 7)])
def test_whole_pixels_of_a_fourier_shift_are_a_roll(images, shift):
    np.testing.assert_array_equal(fourier_shift(images, *shift), roll(images, *shift))


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("distance", [0.5, -0.25, 2.3])
def test_a_fourier_shift_moves_every_wave_below_the_highest(size, distance):
    rows, columns = np.arange(size)[:, None], np.arange(size)
    for down, right in itertools.product(range((size + 1) // 2), repeat=2):

        def wave(dy, dx, down=down, right=right):
            turns = (down * (rows - dy) + right * (columns - dx)) / size
            return np.cos(2 * np.pi * turns + 0.3)[None, :, :, None]

        got = fourier_shift(wave(0, 0), distance, -distance)
        np.testing.assert_allclose(got, wave(distance, -distance), atol=1e-12)


def test_the_highest_frequency_keeps_its_real_part():
    stripes = np.cos(np.pi * np.arange(8))[None, :, None, None] * np.ones((1, 8, 3, 1))
    moved = fourier_shift(stripes, 0.25, 0)
    np.testing.assert_allclose(moved, stripes * np.cos(np.pi / 4), atol=1e-12)


def test_fourier_shifts_keep_the_mean_and_give_floats():
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 1), np.uint8)
    moved = fourier_shift(images, 0.5, 1.25)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved.mean((1, 2)), images.mean((1, 2)), rtol=1e-5)


@pytest.mark.parametrize(
    "motion",
    [
        Motion("circular"),
        Motion("zero"),
        Motion("fourier"),
        Motion("crop", (5, 6), (3, 3)),
        Motion("embed", (8, 8)),
    ],
    ids=lambda motion: motion.name,
)
def test_each_image_by_its_own_displacement(images, motion):
    own = np.array([[0, 2], [2, 1]])
    got = motion.each(images, own)
    for image, displacement, moved in zip(images, own, got, strict=True):
        np.testing.assert_array_equal(motion(image[None], *displacement)[0], moved)


def test_home_is_the_middle_of_a_canvas():
    assert Motion("circular").home(5, 6) == (0, 0)
    assert Motion("crop", (256, 256), (224, 224)).home(256, 256) == (16, 16)
    assert Motion("embed", (9, 12)).home(4, 4) == (2, 4)
