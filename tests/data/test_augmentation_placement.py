"""Crops, flips and cutout: every pixel is where it should be, as often as it should."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.data.augmentation import cutout, pad_and_crop, random_flip

# What numpy.pad calls it.
NUMPYS = {"circular": "wrap"}
# Of 10,000 draws of a normal variable one is larger.
NORMAL_QUANTILE = 3.72


@functools.cache
def keys(count):
    return jax.random.split(jax.random.key(7), count)


def many(function, image, count, **options):
    """The results for `count` keys."""
    each = jax.vmap(functools.partial(function, **options), (0, None))
    return np.asarray(jax.jit(each)(keys(count), image))


def numbered(height, width, channels=1, dtype=np.float32):
    """No two entries are equal, and none is 0."""
    shape = (height, width, channels)
    return 1 + np.arange(height * width * channels, dtype=dtype).reshape(shape)


def assert_equally_likely(counts):
    wanted = counts.sum() / counts.size
    assert wanted > 20
    # A chi-square's cube root is nearly normal: Wilson and Hilferty, 1931.
    freedom = counts.size - 1
    spread = 2 / (9 * freedom)
    limit = freedom * (1 - spread + NORMAL_QUANTILE * spread**0.5) ** 3
    assert ((counts - wanted) ** 2 / wanted).sum() < limit


@pytest.mark.parametrize("boundary", ["circular", "reflect", "edge"])
def test_a_crop_is_a_place_in_the_padded_image(boundary):
    image = numbered(5, 7, 2)
    padded = np.pad(image, ((3, 3), (3, 3), (0, 0)), NUMPYS.get(boundary, boundary))
    places = [padded[i : i + 5, j : j + 7] for i in range(7) for j in range(7)]
    for crop in many(pad_and_crop, image, 50, padding=3, boundary=boundary):
        assert any((crop == place).all() for place in places)


def test_every_place_is_equally_likely():
    padding = 2
    image = numbered(4, 5)
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
    crops = many(pad_and_crop, image, 2_000, padding=padding)
    counts = np.array(
        [
            (crops == padded[i : i + 4, j : j + 5]).all((1, 2, 3)).sum()
            for i in range(5)
            for j in range(5)
        ]
    )
    assert counts.sum() == len(crops)
    assert_equally_likely(counts)


def test_what_is_padded_is_the_fill():
    image = numbered(4, 4, 3)
    crops = many(pad_and_crop, image, 20, padding=4, fill=(-1.0, -2.0, -3.0))
    for crop in crops:
        outside = crop[..., 0] < 0
        assert set(crop[~outside].ravel()) <= set(image.ravel())
        assert (crop[outside] == (-1, -2, -3)).all()
    assert (crops[..., 0] < 0).any()


@pytest.mark.parametrize("dtype", [np.uint8, jnp.bfloat16])
def test_any_dtype_is_kept(dtype):
    image = numbered(4, 5, 2).astype(dtype)
    for function in (pad_and_crop, random_flip, cutout):
        result = jax.eval_shape(function, keys(1)[0], image)
        assert result.dtype == dtype and result.shape == image.shape


@pytest.mark.parametrize(
    ("function", "options"),
    [(pad_and_crop, {"padding": 0}), (random_flip, {"rate": 0}), (cutout, {"size": 0})],
)
def test_none_of_it_gives_the_image(function, options):
    image = numbered(5, 7, 2)
    for result in many(function, image, 20, **options):
        np.testing.assert_array_equal(result, image)


@pytest.mark.parametrize(
    ("direction", "rate"), [("horizontal", 0.5), ("horizontal", 1.0), ("vertical", 0.1)]
)
def test_a_flip_swaps_sides_as_often_as_its_rate(direction, rate):
    image = numbered(2, 3)
    mirrored = image[:, ::-1] if direction == "horizontal" else image[::-1]
    results = many(random_flip, image, 2_000, rate=rate, direction=direction)
    flipped = (results == mirrored).all((1, 2, 3))
    assert (results[~flipped] == image).all()
    assert abs(flipped.mean() - rate) <= 4 * (rate * (1 - rate) / 2_000) ** 0.5


@pytest.mark.parametrize("size", [3, 4, 30])
def test_cutout_hides_a_square_about_any_pixel(size):
    image = numbered(6, 5)
    results = many(cutout, image, 2_000, size=size, fill=-1.0)
    counts, hidden = np.zeros((6, 5)), results[..., 0] == -1
    assert (results[~hidden] == np.broadcast_to(image, results.shape)[~hidden]).all()
    squares = {}
    for row, column in np.ndindex(6, 5):
        square = np.zeros((6, 5), bool)
        top, left = row - size // 2, column - size // 2
        square[max(top, 0) : top + size, max(left, 0) : left + size] = True
        squares.setdefault(square.tobytes(), []).append((row, column))
    for one in hidden:
        centres = squares[one.tobytes()]
        for centre in centres:
            counts[centre] += 1 / len(centres)
    if size < 5:
        assert_equally_likely(counts)


@pytest.mark.parametrize(
    ("function", "options", "error", "message"),
    [
        (pad_and_crop, {"padding": -1}, ValueError, "padding -1 must be in [0, "),
        (
            pad_and_crop,
            {"padding": 1.5},
            TypeError,
            "padding takes an integer, got 1.5",
        ),
        (pad_and_crop, {"boundary": "x"}, ValueError, "unknown boundary 'x'; choose"),
        (pad_and_crop, {"fill": (0.0,) * 3}, ValueError, "each of 2 channels"),
        (random_flip, {"rate": 1.5}, ValueError, "rate 1.5 must be in [0, 1]"),
        (random_flip, {"rate": float("nan")}, ValueError, "rate nan must be in [0, 1]"),
        (random_flip, {"rate": "0"}, TypeError, "rate takes a number, got '0'"),
        (
            random_flip,
            {"direction": "left"},
            ValueError,
            "choose from horizontal, vert",
        ),
        (cutout, {"size": -2}, ValueError, "size -2 must be in [0, "),
        (cutout, {"size": True}, TypeError, "size takes an integer, got True"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_refuses_in_one_line(function, options, error, message):
    with pytest.raises(error) as raised:
        jax.eval_shape(
            functools.partial(function, **options), keys(1)[0], numbered(4, 5, 2)
        )
    assert message in str(raised.value) and "\n" not in str(raised.value)
