"""Space-to-depth moves every entry where it says, and back."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.ops.space_to_depth import depth_to_space, space_to_depth

X = jnp.ones((2, 4, 6, 3))
BLOCKS = [((2, 8, 6, 3), 2), ((6, 2), (3,)), ((1, 2, 4, 6, 9, 2), (4, 2, 3))]
BLOCKS += [((3, 1, 5, 4, 2), (1, 2))]


def _map(shape, dtype=jnp.float32):
    return jnp.arange(np.prod(shape), dtype=dtype).reshape(shape)


@pytest.mark.parametrize(("shape", "block"), BLOCKS)
def test_depth_to_space_is_the_inverse(shape, block):
    x = _map(shape)
    deep = space_to_depth(x, block)
    assert deep.size == x.size
    np.testing.assert_array_equal(depth_to_space(deep, block), x)


@pytest.mark.parametrize("dtype", [jnp.bool_, jnp.int8, jnp.bfloat16, jnp.float32])
def test_any_dtype_is_kept(dtype):
    deep = space_to_depth(X.astype(dtype), 2)
    assert deep.dtype == depth_to_space(deep, 2).dtype == dtype


def test_channels_are_the_block_row_major_then_the_channel():
    x = _map((4, 6, 5))
    deep = space_to_depth(x, (2, 3))
    assert deep.shape == (2, 2, 30)
    for row, column, channel in itertools.product(range(4), range(6), range(5)):
        inside = row % 2 * 3 + column % 3
        got = deep[row // 2, column // 3, inside * 5 + channel]
        assert got == x[row, column, channel]


def test_gradient_is_the_inverse():
    x = _map((2, 4, 4, 3))
    deep, pull = jax.vjp(space_to_depth, x)
    np.testing.assert_array_equal(*pull(deep), x)


def test_shift_by_the_block_shifts_the_result_by_one():
    x = _map((1, 4, 6, 2))
    shifted = space_to_depth(jnp.roll(x, (2, 4), (1, 2)), 2)
    np.testing.assert_array_equal(
        shifted, jnp.roll(space_to_depth(x, 2), (1, 2), (1, 2))
    )


@pytest.mark.parametrize("function", [space_to_depth, depth_to_space])
def test_is_one_named_equation(function):
    x = jnp.ones((2, 4, 4, 4))
    (equation,) = jax.make_jaxpr(function)(x).eqns
    assert equation.params["name"] == f"{function.__name__}(block=(2, 2))"


REFUSED = [
    (
        lambda: space_to_depth(X, 4),
        ValueError,
        "block (4, 4) does not divide the map (4, 6)",
    ),
    (
        lambda: depth_to_space(X, 2),
        ValueError,
        "block (2, 2) does not divide the 3 channels",
    ),
    (
        lambda: space_to_depth(X, (2, 0)),
        ValueError,
        "block (2, 0) must be at least 1 everywhere",
    ),
    (
        lambda: space_to_depth(X, (2, 1.5)),
        TypeError,
        "block takes integers, got 1.5",
    ),
    (lambda: space_to_depth(X, 2.0), TypeError, "block takes integers, got 2.0"),
    (
        lambda: depth_to_space(X, (1,) * 4),
        ValueError,
        "block (1, 1, 1, 1) must have 1 to 3 entries",
    ),
    (lambda: space_to_depth(X, ()), ValueError, "block () must have 1 to 3 entries"),
    (
        lambda: space_to_depth(X[0, 0], 2),
        ValueError,
        "2 spatial axes need a map [*batch, 2 spatial axes, channels], "
        "got shape (6, 3)",
    ),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_call_is_refused_in_one_line(call, error, message):
    with pytest.raises(error, match=re.escape(message)) as raised:
        call()
    assert "\n" not in str(raised.value)
