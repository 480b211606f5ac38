"""Samples that follow the image, site by site: what stays, and what is gained."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.diagnostics import surgery
from cnnlab.ops import convolution, pools

GENERATOR = np.random.default_rng(0)
IMAGES = jnp.asarray(GENERATOR.normal(size=(6, 8, 8, 2)), jnp.float32)
KERNEL = jnp.asarray(GENERATOR.normal(size=(3, 3, 2, 2)), jnp.float32)
HEAD = jnp.asarray(GENERATOR.normal(size=(2, 3)), jnp.float32)


def conv(x, kernel, strides=1):
    return convolution.conv(x, kernel, strides, boundary="circular")


def two_pools(scale, images):
    """A net on a torus, of a stride of 4 and a mean over the whole map."""
    x = pools["max_pool"](jnp.tanh(scale * conv(images, KERNEL)), (2, 2), 2)
    x = pools["max_pool"](conv(x, KERNEL), (2, 2), 2)
    return x.mean((1, 2)) @ HEAD


def residual(images):
    """A strided convolution beside a strided slice, and then a pool."""
    x = conv(images, KERNEL, 2) + images[:, ::2, ::2]
    return pools["avg_pool"](x, (2, 2), 2).mean((1, 2)) @ HEAD


SCALE = np.float32(0.7)


@pytest.mark.parametrize(
    ("function", "args", "units"),
    [(two_pools, (SCALE,), [1, 1]), (residual, (), [2, 1])],
)
def test_switches_that_are_off_change_nothing_and_all_together_make_it_exact(
    function, args, units
):
    followed = surgery.Following(function, *args, IMAGES)
    assert [len(unit) for unit in followed.sites] == units
    still = followed([False] * len(units), *args, IMAGES)
    np.testing.assert_allclose(still, function(*args, IMAGES), rtol=1e-5)
    everywhere = [True] * len(units)
    at_home = followed(everywhere, *args, IMAGES)
    for dy, dx in ((0, 1), (3, 2)):
        rolled = jnp.roll(IMAGES, (dy, dx), (1, 2))
        moved = followed(everywhere, *args, rolled)
        np.testing.assert_allclose(moved, at_home, rtol=1e-4, atol=1e-5)
        fixed = np.asarray(function(*args, rolled)) - np.asarray(still)
        assert np.abs(fixed).max() > 1e-2


def test_a_switch_is_the_exact_pool_at_its_site():
    followed = surgery.Following(two_pools, SCALE, IMAGES)
    for place in range(2):
        swapped = surgery.swap_downsampling(two_pools, {place: "adaptive_polyphase"})
        on = [place == 0, place == 1]
        np.testing.assert_allclose(
            followed(on, SCALE, IMAGES), swapped(SCALE, IMAGES), rtol=1e-5, atol=1e-6
        )


def test_what_all_sites_add_is_all_that_is_lost_of_a_net_without_other_causes():
    found = surgery.sampling_effects(two_pools, SCALE, IMAGES)
    effects = found.effects
    assert (effects.full == 1).all() and effects.none.mean() < 1
    np.testing.assert_allclose(effects.shapley.sum(0), 1 - effects.none)
    assert [unit[0].index for unit in found.sites] == [0, 1]
    # A program that is there already gives the same.
    program = surgery.Following(two_pools, SCALE, IMAGES)
    again = surgery.sampling_effects(program, SCALE, IMAGES)
    np.testing.assert_array_equal(again.effects.shapley, effects.shapley)


def mixing(images):
    return pools["spectral_pool"](images, (2, 2), 2, boundary="circular").mean((1, 2))


def beside(images):
    return pools["max_pool"](images, (2, 2), 2) + conv(images, KERNEL, 2)


@pytest.mark.parametrize("function", [jax.nn.relu, mixing, beside])
def test_sites_that_cannot_follow_are_left_out(function):
    followed = surgery.Following(function, IMAGES)
    assert followed.sites == ()
    np.testing.assert_allclose(followed([], IMAGES), function(IMAGES), rtol=1e-6)
    with pytest.raises(ValueError, match="no site of the function could"):
        surgery.sampling_effects(function, IMAGES)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[0], "examples, height, width"),
        (IMAGES * jnp.nan, "finite"),
        (jnp.zeros((2, 8, 8, 2), int), "floating-point"),
    ],
)
def test_what_are_no_images_is_refused_in_one_line(images, message):
    with pytest.raises((TypeError, ValueError), match=message) as raised:
        surgery.sampling_effects(residual, images)
    assert "\n" not in str(raised.value)
