"""Random affine warps: three dots tell which motion was drawn."""

import functools

import jax
import numpy as np
import pytest

from cnnlab.data.augmentation import (
    random_affine,
    random_rotation,
    random_scale,
    random_shear,
    random_translation,
)

SIDES = (16, 19)
# Far enough apart to be told from each other, and from the edge.
DOTS = np.array([(-3.0, -3.5), (-1.5, 4.0), (3.5, 0.5)])
COUNT = 300


@functools.cache
def keys():
    return jax.random.split(jax.random.key(3), COUNT)


def grid():
    rows, columns = np.ogrid[: SIDES[0], : SIDES[1]]
    return rows - (SIDES[0] - 1) / 2, columns - (SIDES[1] - 1) / 2


def dots():
    """An image with a dot in each channel."""
    y, x = grid()
    squares = [(y - row) ** 2 + (x - column) ** 2 for row, column in DOTS]
    return np.exp(-np.stack(squares, -1) / 1.5).astype(np.float32)


def motions(function, **options):
    """By key, linear part `[n, 2, 2]` and shift `[n, 2]` of what moved the dots."""
    move = jax.jit(jax.vmap(functools.partial(function, **options), (0, None)))
    images = np.asarray(move(keys(), dots()), float)
    y, x = grid()
    weight = images.sum((1, 2))
    landed = np.stack(
        [(images * axis[..., None]).sum((1, 2)) / weight for axis in (y, x)], -1
    )
    start = np.column_stack([DOTS, np.ones(3)])
    solved = np.linalg.solve(start, landed)
    return solved[:, :2].swapaxes(1, 2), solved[:, 2]


def assert_uniform(values, low, high):
    """All inside, with the mean and deviation of a uniform law, to four errors."""
    width = high - low
    assert (values > low - 0.03 * width).all() and (values < high + 0.03 * width).all()
    error = width / 12**0.5 / len(values) ** 0.5
    assert abs(values.mean() - (low + high) / 2) < 4 * error
    assert abs(values.std() - width / 12**0.5) < 4 * error


def test_a_translation_moves_every_dot_alike():
    linear, shift = motions(random_translation, distance=1.5)
    np.testing.assert_allclose(
        linear, np.broadcast_to(np.eye(2), linear.shape), atol=0.02
    )
    for axis in (0, 1):
        assert_uniform(shift[:, axis], -1.5, 1.5)
    assert abs(np.corrcoef(shift.T)[0, 1]) < 4 / COUNT**0.5


def test_a_rotation_turns_about_the_centre():
    linear, shift = motions(random_rotation, degrees=40)
    angle = np.arctan2(linear[:, 1, 0], linear[:, 0, 0])
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(linear, turned.transpose(2, 0, 1), atol=0.02)
    np.testing.assert_allclose(shift, 0, atol=0.1)
    assert_uniform(np.rad2deg(angle), -40, 40)


def test_a_scale_enlarges_about_the_centre():
    linear, shift = motions(random_scale, scale=(0.8, 1.25))
    factor = np.trace(linear, axis1=1, axis2=2) / 2
    np.testing.assert_allclose(linear, factor[:, None, None] * np.eye(2), atol=0.02)
    np.testing.assert_allclose(shift, 0, atol=0.1)
    assert_uniform(factor, 0.8, 1.25)


def test_a_shear_moves_rows_along_themselves():
    linear, shift = motions(random_shear, slope=0.4)
    np.testing.assert_allclose(linear[:, :, 1], [[0, 1]] * COUNT, atol=0.02)
    np.testing.assert_allclose(linear[:, 0, 0], 1, atol=0.02)
    np.testing.assert_allclose(shift, 0, atol=0.1)
    assert_uniform(linear[:, 1, 0], -0.4, 0.4)


def test_all_of_it_is_one_motion_of_independent_amounts():
    options = {"degrees": 20, "scale": (0.9, 1.1), "slope": 0.2, "distance": 1.0}
    linear, shift = motions(random_affine, **options)
    # The second column is the direction in which columns lie: shears leave it alone.
    angle = np.arctan2(-linear[:, 0, 1], linear[:, 1, 1])
    factor = np.linalg.det(linear) ** 0.5
    slope = (linear[:, :, 0] * linear[:, :, 1]).sum(1) / factor**2
    amounts = [np.rad2deg(angle), factor, slope, *shift.T]
    ranges = [(-20, 20), (0.9, 1.1), (-0.2, 0.2), (-1, 1), (-1, 1)]
    for amount, (low, high) in zip(amounts, ranges, strict=True):
        assert_uniform(amount, low, high)
    apart = np.corrcoef(amounts) - np.eye(5)
    assert (abs(apart) < 4 / COUNT**0.5).all()


def test_no_motion_gives_the_image_to_the_bit():
    image = 0.1 + dots()
    result = jax.jit(random_affine)(keys()[0], image)
    np.testing.assert_array_equal(result, image)


def test_what_comes_in_is_the_fill():
    fill = (0.5, 0.25, 0.75)
    image = np.broadcast_to(np.float32(fill), (*SIDES, 3))
    move = functools.partial(random_affine, degrees=90, distance=20.0, fill=fill)
    np.testing.assert_allclose(jax.jit(move)(keys()[0], image), image, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"degrees": -1}, ValueError, "degrees -1 must be in [0, "),
        ({"slope": "1"}, TypeError, "slope takes a number, got '1'"),
        ({"distance": float("inf")}, ValueError, "distance inf must be in [0, "),
        ({"scale": 2.0}, TypeError, "scale takes two numbers (low, high), got 2.0"),
        ({"scale": (1.2, 0.8)}, ValueError, "scale (1.2, 0.8) must not fall"),
        ({"scale": (0, 1)}, ValueError, "scale 0 must be in [0.001, "),
        ({"boundary": "wrap"}, ValueError, "unknown boundary 'wrap'; choose from zero"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_refuses_in_one_line(options, error, message):
    with pytest.raises(error) as raised:
        jax.eval_shape(functools.partial(random_affine, **options), keys()[0], dots())
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_refuses_integers():
    with pytest.raises(TypeError, match="image must be floating-point, got uint8"):
        jax.eval_shape(random_rotation, keys()[0], np.zeros((*SIDES, 3), np.uint8))
