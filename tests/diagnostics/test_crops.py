"""Many looks at an image, against loops over them one by one."""

import numpy as np
import pytest

from cnnlab.diagnostics.crops import (
    dense,
    googlenet_crops,
    grid_crops,
    multi_scale,
    resize,
    square_crops,
    ten_crop,
)

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


@pytest.mark.parametrize(
    "height, width, squares",
    [
        (7, 10, [(0, 0), (0, 1), (0, 3)]),
        (10, 7, [(0, 0), (1, 0), (3, 0)]),
        (7, 7, [(0, 0)] * 3),
    ],
)
def test_square_crops_are_the_mean_over_looks_at_three_squares(height, width, squares):
    image = np.random.default_rng(0).normal(size=(height, width, 2)).astype(np.float32)
    looks = []
    for top, left in squares:
        square = image[top : top + 7, left : left + 7]
        crops = [square[y : y + 4, x : x + 4] for y in (0, 3) for x in (0, 3)]
        whole = resize(square[None], 4)[0]
        for look in (*crops, square[1:5, 1:5], whole):
            looks += [probabilities(look), probabilities(look[:, ::-1])]
    got = square_crops(predict, image[None], 4)
    np.testing.assert_allclose(got[0], sum(looks) / 36, rtol=1e-5)


@pytest.mark.parametrize("height, width", [(300, 400), (400, 300)])
def test_googlenet_crops_are_the_papers_144(height, width):
    """Each look is found by its first and last pixel, which tell where they are."""
    looks, distinct = [], set()

    def predict_where(crops):
        assert crops.shape == (1, 224, 224, 3)
        looks.append([*crops[0, 0, 0, :2], *crops[0, -1, -1, :2]])
        distinct.add(crops.tobytes())
        return np.zeros((1, CLASSES), np.float32)

    y, x = np.mgrid[:height, :width] / 300
    noise = np.random.default_rng(0).normal(size=(height, width))
    image = np.stack([y, x, noise], -1)[None].astype(np.float32)
    googlenet_crops(predict_where, image)

    wanted = []
    for scale in (256, 288, 320, 352):
        # Sides of the square are 1 long, and the image is 4/3 as long as it.
        crop, room = 224 / scale, 1 - 224 / scale
        for square in (0, 1 / 6, 1 / 3):
            down, right = (0, square) if width > height else (square, 0)
            boxes = [
                (top, left, top + crop, left + crop)
                for top, left in ((0, 0), (0, room), (room, 0), (room, room))
            ]
            boxes += [(room / 2, room / 2, room / 2 + crop, room / 2 + crop)]
            for top, left, bottom, end in (*boxes, (0, 0, 1, 1)):
                look = top + down, left + right, bottom + down, end + right
                mirrored = look[0], look[3], look[2], look[1]
                wanted += [look, mirrored]
    # To two pixels of the image.
    np.testing.assert_allclose(looks, wanted, atol=2 / 300)
    assert len(wanted) == len(distinct) == 144


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
@pytest.mark.parametrize("crops", [ten_crop, grid_crops, square_crops])
def test_a_crop_that_the_image_does_not_hold_is_refused(images, crops, size):
    message = f"size {size} of crops must be 1 to 7 for images of 7x10"
    with pytest.raises(ValueError, match=message):
        crops(predict, images, size)


def last_class_of_all(images):
    """A score for each image, as if there were one class."""
    return predict(images)[:, -1]


@pytest.mark.parametrize(
    "message, call",
    {
        r"got shape \(7, 10, 2\)": lambda x: ten_crop(predict, x[0], 4),
        r"none of them 0, got shape \(0, 7": lambda x: dense(predict_map, x[:0]),
        r"must give scores .* shape \(2, 3\)": lambda x: dense(predict, x),
        r"must give logits .2, classes., got shape \(2,\)": lambda x: ten_crop(
            last_class_of_all, x, 4
        ),
        "must give logits .2, classes., got": lambda x: ten_crop(predict_map, x, 4),
        "per_side 0 must be at": lambda x: grid_crops(predict, x, 4, 0),
        r"at least one size, got \(\)": lambda x: multi_scale(predict, x, ()),
        "at least one size, got 256": lambda x: multi_scale(predict, x, 256),
        "smallest_side 0 must be at least 1": lambda x: resize(x, 0),
        "smallest_side takes an integer, got 8.5": lambda x: resize(x, 8.5),
        "size takes an integer, got '4'": lambda x: ten_crop(predict, x, "4"),
        "per_side takes an integer": lambda x: grid_crops(predict, x, 4, 2.0),
        "images must be an array, got list": lambda x: ten_crop(predict, list(x), 4),
    }.items(),
)
def test_bad_arguments_are_refused_in_one_line(images, message, call):
    with pytest.raises((TypeError, ValueError), match=message) as error:
        call(images)
    assert "\n" not in str(error.value)
