"""`Conv` against Flax's: the same parameters, the same initial values, the same map."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab import ops
from cnnlab.layers import Conv

# The shape of the map, and the same layer written for ours and for Flax's.
CASES = {
    "defaults": ((2, 7, 6, 3), {}, {}),
    "strides": ((2, 7, 6, 3), {"strides": (2, 1)}, {"strides": (2, 1)}),
    "valid": (
        (2, 8, 7, 2),
        {"strides": 2, "padding": "VALID"},
        {"strides": 2, "padding": "VALID"},
    ),
    "explicit": (
        (2, 6, 5, 2),
        {"strides": 2, "padding": ((2, 0), (1, 3))},
        {"strides": 2, "padding": ((2, 0), (1, 3))},
    ),
    "padding of an int": ((2, 6, 5, 2), {"padding": 1}, {"padding": 1}),
    "dilation": ((2, 9, 8, 2), {"dilation": (2, 3)}, {"kernel_dilation": (2, 3)}),
    "groups": ((2, 6, 5, 4), {"groups": 2}, {"feature_group_count": 2}),
    "circular": ((2, 6, 5, 2), {"boundary": "circular"}, {"padding": "CIRCULAR"}),
    "circular and strided": (
        (2, 6, 8, 2),
        {"strides": 2, "padding": ((1, 1), (0, 1)), "boundary": "circular"},
        {"strides": 2, "padding": "CIRCULAR"},
    ),
    "no bias": ((2, 6, 5, 2), {"use_bias": False}, {"use_bias": False}),
    "half precision": (
        (2, 6, 5, 2),
        {"dtype": jnp.bfloat16},
        {"dtype": jnp.bfloat16},
    ),
    "im2col": ((2, 7, 6, 3), {"lowering": "im2col", "strides": 2}, {"strides": 2}),
    "no batch": ((6, 5, 2), {}, {}),
    "two batch axes": ((2, 3, 6, 5, 2), {}, {}),
}


def normal(shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return jnp.asarray(values, jnp.float32)


def assert_alike(ours, theirs, x):
    """Both begin with the same parameters, and with any give the same map."""
    variables = ours.init(jax.random.key(1), x)
    begun = theirs.init(jax.random.key(1), x)
    assert jax.tree.structure(variables) == jax.tree.structure(begun)
    jax.tree.map(np.testing.assert_array_equal, variables, begun)

    # The bias begins at 0, where it would not be seen.
    variables = jax.tree.map(lambda leaf: leaf + 0.5, variables)
    got, wanted = ours.apply(variables, x), theirs.apply(variables, x)
    assert got.dtype == wanted.dtype
    tolerance = 16 * float(jnp.finfo(got.dtype).eps)
    scale = float(jnp.abs(wanted).max())
    np.testing.assert_allclose(
        got.astype(jnp.float32), wanted.astype(jnp.float32), atol=tolerance * scale
    )


@pytest.mark.parametrize("case", CASES)
def test_it_equals_flax(case):
    shape, ours, theirs = CASES[case]
    assert_alike(Conv(4, (3, 2), **ours), nn.Conv(4, (3, 2), **theirs), normal(shape))


@pytest.mark.parametrize(
    ("shape", "size"), [((2, 9, 3), (4,)), ((1, 4, 5, 6, 2), (2, 3, 2))]
)
def test_one_and_three_spatial_axes_equal_flax(shape, size):
    assert_alike(Conv(4, size, strides=2), nn.Conv(4, size, strides=2), normal(shape))


def test_an_int_kernel_is_a_square():
    assert_alike(Conv(4, 3), nn.Conv(4, (3, 3)), normal((2, 6, 5, 2)))


def test_a_boundary_that_flax_lacks_is_the_operators():
    x = normal((2, 6, 5, 2))
    layer = Conv(4, 3, boundary="reflect", use_bias=False)
    variables = layer.init(jax.random.key(0), x)
    wanted = ops.conv(x, variables["params"]["kernel"], boundary="reflect")
    np.testing.assert_array_equal(layer.apply(variables, x), wanted)


def test_groups_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ValueError, match="groups 2 does not divide 3 channels"):
        Conv(4, 3, groups=2).init(jax.random.key(0), normal((1, 4, 4, 3)))


def test_it_works_in_flax_nnx():
    x = normal((2, 6, 5, 3))
    layer = Conv(4, 3, strides=2)
    bridged = nnx.bridge.ToNNX(layer, rngs=nnx.Rngs(0)).lazy_init(x)
    params = nnx.to_pure_dict(nnx.state(bridged, nnx.Param))
    np.testing.assert_array_equal(bridged(x), layer.apply({"params": params}, x))
