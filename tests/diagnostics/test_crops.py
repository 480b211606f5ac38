"""Many looks at an image, against loops over them one by one."""

import numpy as np
import pytest

from cnnlab.diagnostics.crops import dense, grid_crops, multi_scale, resize, ten_crop

CLASSES = 3


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(2, 7, 10, 2)).astype(np.float32)


def predict(images):
    """Logits that tell every pixel from every other."""
    weights = np.random.default_rng(1).normal(size=(*images.shape[1:], CLASSES))
    return np.einsum("nhwc,hwck->nk", images, weights).astype(np.float32)


def probabilities(image):
    """Of one image, in double precision."""
    exponents = np.exp(predict(image[None])[0].astype(np.float64))
    return exponents / exponents.sum()


def mean_over(image, size, corners):
    """The mean over the crops and their mirror images, pixel by pixel."""
    looks = []
    for top, left in corners:
        crop, mirrored = np.zeros((2, size, size, image.shape[-1]), np.float32)
        for y in range(size):
            for x in range(size):
                crop[y, x] = image[top + y, left + x]
                mirrored[y, size - 1 - x] = image[top + y, left + x]
        looks += [probabilities(crop), probabilities(mirrored)]
    return sum(looks) / len(looks)


@pytest.mark.parametrize("size, centre", [(4, (1, 3)), (7, (0, 1)), (1, (3, 4))])
def test_ten_crop_is_the_mean_over_corners_centre_and_mirrors(images, size, centre):
    down, right = 7 - size, 10 - size
    corners = [(0, 0), (0, right), (down, 0), (down, right), centre]
    wanted = [mean_over(image, size, corners) for image in images]
    np.testing.assert_allclose(ten_crop(predict, images, size), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    "per_side, rows, columns",
    [(1, [1], [3]), (2, [0, 3], [0, 6]), (4, [0, 1, 2, 3], [0, 2, 4, 6])],
)
def test_grid_crops_are_the_mean_over_a_regular_grid(images, per_side, rows, columns):
    corners = [(row, column) for row in rows for column in columns]
    wanted = [mean_over(image, 4, corners) for image in images]
    got = grid_crops(predict, images, 4, per_side)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_a_grid_reaches_both_margins_where_its_steps_are_uneven(images):
    seen = set()

    def predict_where(crops):
        seen.add((int(crops[0, 0, 0, 0]), int(crops[0, 0, 0, 1])))
        return np.zeros((len(crops), CLASSES), np.float32)

    places = np.stack(np.mgrid[:7, :10], -1)[None].astype(np.float32)
    grid_crops(predict_where, places, 2, 3)
    # Mirrored crops begin one pixel further right.
    assert {y for y, _ in seen} == {0, 2, 5}
    assert {x for _, x in seen} == {0, 4, 8, 1, 5, 9}


def predict_map(images):
    """The logits of 4x4 windows, three pixels apart."""
    rows, columns = ((side - 4) // 3 + 1 for side in images.shape[1:3])
    scores = np.zeros((len(images), rows, columns, CLASSES), np.float32)
    for row, column in np.ndindex(rows, columns):
        y, x = 3 * row, 3 * column
        scores[:, row, column] = predict(images[:, y : y + 4, x : x + 4])
    return scores


def test_dense_averages_scores_over_places_and_probabilities_over_mirrors(images):
    wanted = np.zeros((2, CLASSES))
    for n, image in enumerate(images):
        for view in (image, image[:, ::-1]):
            scores = [
                predict(view[None, y : y + 4, x : x + 4])[0].astype(np.float64)
                for y in (0, 3)
                for x in (0, 3, 6)
            ]
            exponents = np.exp(sum(scores) / 6)
            wanted[n] += exponents / exponents.sum() / 2
    np.testing.assert_allclose(dense(predict_map, images), wanted, rtol=1e-5)


def test_multi_scale_is_the_mean_over_sizes(images):
    def evaluate(images):
        return ten_crop(predict, images, 5)

    sides = (5, 7, 9)
    wanted = sum(evaluate(resize(images, side)) for side in sides) / 3
    np.testing.assert_allclose(multi_scale(evaluate, images, sides), wanted, rtol=1e-5)


def test_resizing_keeps_proportions_and_the_images_own_size(images):
    assert resize(images, 14).shape == (2, 14, 20, 2)
    assert resize(images, 3).shape == (2, 3, 4, 2)
    assert resize(images.transpose(0, 2, 1, 3), 3).shape == (2, 4, 3, 2)
    np.testing.assert_allclose(resize(images, 7), images, rtol=1e-6)


def test_resizing_is_bilinear_and_filters_where_it_shrinks():
    image = np.tile(np.array([0, 8, 0, 8], np.uint8)[:, None], (1, 4, 1, 1))
    # New pixels lie a quarter beside the old ones.
    got = resize(image, 8)[0, 0, :, 0]
    np.testing.assert_allclose(got, [0, 2, 6, 6, 2, 2, 6, 8], atol=1e-6)
    # Half the size takes a triangle of twice the width: weights 3, 3, 1 at the margin.
    got = resize(image, 2)[0, 0, :, 0]
    np.testing.assert_allclose(got, [24 / 7, 32 / 7], rtol=1e-6)
    assert got.dtype == np.float32


@pytest.mark.parametrize("size", [0, -1, 8])
@pytest.mark.parametrize("crops", [ten_crop, grid_crops])
def test_a_crop_that_the_image_does_not_hold_is_refused(images, crops, size):
    message = f"size {size} of crops must be 1 to 7 for images of 7x10"
    with pytest.raises(ValueError, match=message):
        crops(predict, images, size)


@pytest.mark.parametrize(
    "message, call",
    {
        r"got shape \(7, 10, 2\)": lambda x: ten_crop(predict, x[0], 4),
        r"none of them 0, got shape \(0, 7": lambda x: dense(predict_map, x[:0]),
        r"must give scores .* shape \(2, 3\)": lambda x: dense(predict, x),
        "per_side 0 must be at": lambda x: grid_crops(predict, x, 4, 0),
        "at least one size, got none": lambda x: multi_scale(predict, x, ()),
        "smallest_side 0 must be at least 1": lambda x: resize(x, 0),
    }.items(),
)
def test_bad_arguments_are_refused_in_one_line(images, message, call):
    with pytest.raises(ValueError, match=message) as error:
        call(images)
    assert "\n" not in str(error.value)
