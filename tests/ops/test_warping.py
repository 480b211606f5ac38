"""Affine warps: every pixel comes from where the matrix says."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from cnnlab.ops.warping import affine_matrix, affine_warp

BOUNDARIES = ("zero", "circular", "reflect", "edge")
# numpy.pad's names of them.
PADDED = dict(zip(BOUNDARIES, ("constant", "wrap", "reflect", "edge"), strict=True))
_warp = jax.jit(affine_warp, static_argnames=("boundary", "order", "fill"))
matrix_of = jax.jit(affine_matrix)
MATRIX = np.array([[0.8, -0.5, 1.3], [0.4, 1.1, -0.7]], np.float32)


def warp(x, matrix, *, boundary="zero", order=1, fill=0.0):
    return _warp(x, matrix, boundary=boundary, order=order, fill=fill)


def random_map(*shape):
    return np.random.default_rng(0).random(shape).astype(np.float32)


def expected(x, matrix, boundary, order, margin=40):
    """Pixel by pixel, in float64, on a map that numpy has padded."""
    height, width, _ = x.shape
    widths = ((margin, margin), (margin, margin), (0, 0))
    padded = np.pad(x.astype(float), widths, PADDED[boundary])
    y_0, x_0 = (height - 1) / 2, (width - 1) / 2
    result = np.empty(x.shape)
    for i, j in np.ndindex(height, width):
        source = matrix.astype(float) @ (i - y_0, j - x_0, 1)
        v, u = source + (y_0 + margin, x_0 + margin)
        if order == 0:
            result[i, j] = padded[math.floor(v + 0.5), math.floor(u + 0.5)]
            continue
        top, left = math.floor(v), math.floor(u)
        result[i, j] = sum(
            (1 - abs(v - row)) * (1 - abs(u - column)) * padded[row, column]
            for row, column in itertools.product((top, top + 1), (left, left + 1))
        )
    return result


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_equals_the_sum_over_the_four_nearest(boundary, order):
    x = random_map(7, 10, 2)
    got = warp(x, MATRIX, boundary=boundary, order=order)
    np.testing.assert_allclose(got, expected(x, MATRIX, boundary, order), atol=3e-6)


@pytest.mark.parametrize(
    ("boundary", "dtype"),
    [*((boundary, jnp.float32) for boundary in BOUNDARIES), ("zero", jnp.bfloat16)],
)
def test_identity_gives_the_map_to_the_bit(boundary, dtype):
    x = jnp.asarray(random_map(7, 10, 2), dtype)
    got = warp(x, matrix_of(), boundary=boundary)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, x)


@pytest.mark.parametrize("size", [6, 7])
@pytest.mark.parametrize("quarters", [-1, 1, 2])
def test_quarter_turns_are_rot90(size, quarters):
    x = random_map(size, size, 2)
    # Under "edge" what rounding puts just outside of the map counts in full.
    matrix = matrix_of(angle=quarters * math.pi / 2)
    got = warp(x, matrix, boundary="edge")
    np.testing.assert_allclose(got, np.rot90(x, quarters), atol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_whole_shifts_on_a_torus_are_rolls(dtype):
    # Above 256, bfloat16 would not count the pixels.
    x = jnp.asarray(random_map(3, 600, 1), dtype)
    matrix = np.array([[1, 0, 1], [0, 1, -300]]).astype(dtype)
    got = warp(x, matrix, boundary="circular")
    np.testing.assert_array_equal(got, np.roll(x, (-1, 300), (0, 1)))


@pytest.mark.parametrize(
    ("angle", "scale", "slope", "translation"),
    [
        (0.0, 1.0, 0.0, (2.3, -3.6)),
        (0.7, 1.0, 0.0, (0.0, 0.0)),
        (0.0, 1.4, 0.0, (0.0, 0.0)),
        (0.0, 1.0, 0.5, (0.0, 0.0)),
        (-0.6, 0.8, -0.3, (-1.7, 0.9)),
    ],
)
def test_a_dot_lands_where_the_geometry_says(angle, scale, slope, translation):
    height, width = 24, 31
    dot = (-3.2, 4.1)
    rows, columns = np.ogrid[:height, :width]
    y, x = rows - (height - 1) / 2, columns - (width - 1) / 2
    blob = np.exp(-((y - dot[0]) ** 2 + (x - dot[1]) ** 2) / 4)[..., None]
    matrix = matrix_of(
        angle=angle, scale=scale, slope=slope, translation=jnp.array(translation)
    )
    got = np.asarray(warp(blob.astype(np.float32), matrix), float)[..., 0]
    centroid = [(got * axis).sum() / got.sum() for axis in (y, x)]
    # As complex numbers, whose imaginary part grows upwards.
    sheared = complex(dot[1] + slope * dot[0], -dot[0])
    moved = scale * sheared * np.exp(1j * angle) + complex(
        translation[1], -translation[0]
    )
    np.testing.assert_allclose(centroid, [-moved.imag, moved.real], atol=0.1)


def test_each_image_takes_its_own_matrix():
    x = random_map(2, 3, 6, 5, 1)
    matrices = MATRIX + random_map(2, 3, 2, 3)
    got = warp(x, matrices)
    for i, j in np.ndindex(2, 3):
        one = expected(x[i, j], matrices[i, j], "zero", 1)
        np.testing.assert_allclose(got[i, j], one, atol=3e-6)


def test_one_matrix_serves_all_images():
    x = random_map(2, 3, 6, 5, 1)
    each = np.broadcast_to(MATRIX, (2, 3, 2, 3))
    np.testing.assert_array_equal(warp(x, MATRIX), warp(x, each))


def test_what_lies_beyond_is_the_fill():
    x = random_map(4, 4, 3)
    fill = (0.25, 0.5, 0.75)
    far = matrix_of(translation=jnp.array([0.0, 9.0]))
    np.testing.assert_array_equal(
        warp(x, far, fill=fill), np.broadcast_to(fill, x.shape)
    )
    constant = np.broadcast_to(np.float32(fill), x.shape)
    np.testing.assert_allclose(warp(constant, MATRIX, fill=fill), constant, rtol=1e-6)


def test_gradients_of_map_and_matrix():
    with jax.enable_x64(True):
        # No point falls on a pixel's centre, where the slope jumps.
        x, matrix = (
            random_map(4, 5, 1).astype(float),
            MATRIX.astype(float) + math.pi / 100,
        )
        check_grads(jax.jit(affine_warp), (x, matrix), order=1, eps=1e-7)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("x", "matrix", "options", "error", "message"),
    [
        ((4, 4, 1), (3, 3), {}, ValueError, "got (3, 3)"),
        ((2, 4, 4, 1), (3, 2, 3), {}, ValueError, "or (2, 2, 3), got (3, 2, 3)"),
        ((4, 4), (2, 3), {}, ValueError, "a warp of maps (4, 4)"),
        ((4, 4, 1), (2, 3), {"order": 3}, ValueError, "unknown order 3"),
        (
            (4, 4, 1),
            (2, 3),
            {"boundary": "wrap"},
            ValueError,
            "unknown boundary 'wrap'",
        ),
        ((4, 4, 2), (2, 3), {"fill": (1.0,) * 3}, ValueError, "each of 2 channels"),
    ],
)
def test_refuses_in_one_line(x, matrix, options, error, message):
    with pytest.raises(error) as raised:
        jax.eval_shape(
            functools.partial(affine_warp, **options), jnp.ones(x), jnp.ones(matrix)
        )
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.usefixtures("unchecked")
def test_refuses_integers():
    with pytest.raises(TypeError, match="the map must be floating-point.*int32"):
        affine_warp(jnp.ones((4, 4, 1), jnp.int32), jnp.ones((2, 3)))
    with pytest.raises(TypeError, match="the matrix must be an array, got list"):
        affine_warp(jnp.ones((4, 4, 1)), [[1.0, 0, 0], [0, 1, 0]])
