"""No place where a network thins its maps goes unnoticed, or keeps its own strides."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from expected_models import all_but_the_deepest, smallest_of_each_family

from cnnlab.diagnostics.cost import count
from cnnlab.layers import ConvTranspose, Pool
from cnnlab.models import create_model, sites
from cnnlab.models.network import Network
from cnnlab.ops.global_pooling import adaptive_avg_pool, global_avg_pool

# Pools between layers of their own, option A shortcuts, and a strided stem.
QUICK = {"lenet5_1998", "resnet20", "alexnet"}
EVERY_MODEL = pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in all_but_the_deepest()
    ],
)
# Networks and their options, with what keeps its place under any `downsample=`, in
# training alone: averages to 4x4 whatever the map is, which have no strides.
EXCEPTIONS = {
    ("googlenet_bn", "auxiliary"): 2 * [("adaptive_avg_pool", (3.5, 3.5))],
}


@functools.cache
def listed(name, *, train=False, **options):
    found = sites(create_model(name, **options), train=train)
    return [(site.operator, site.strides) for site in found]


def test_the_sites_of_resnet18():
    stem = [("conv", (2, 2)), ("max_pool", (2, 2))]
    # Branch and shortcut of the three stages that halve their maps.
    assert listed("resnet18") == stem + 6 * [("conv", (2, 2))]


def test_option_a_shortcuts_are_sites_too():
    stage = [("conv", (2, 2)), ("slice", (2, 2))]
    assert listed("resnet20") == 2 * stage
    assert listed("resnet20", shortcut="projection") == 4 * [("conv", (2, 2))]


def test_a_site_says_where_it_is_and_what_it_does():
    branch, shortcut, *_ = sites(create_model("resnet20"))
    where = "CifarResNet/BasicBlock_3"
    assert str(branch) == f"{where}/Conv_0: conv /2x2, 32x32 to 16x16"
    assert str(shortcut) == f"{where}: slice /2x2, 32x32 to 16x16"


@EVERY_MODEL
def test_a_downsampling_takes_every_stride(name):
    own = listed(name)
    assert own
    blurred = listed(name, downsample="blur_pool(window_shape=3)")
    assert {operator for operator, _ in blurred} == {"blur_pool"}
    strides = [strides for _, strides in own]
    assert [strides for _, strides in blurred] == strides
    exact = listed(name, downsample="adaptive_polyphase", boundary="circular")
    assert {operator for operator, _ in exact} == {"adaptive_polyphase"}


@pytest.mark.parametrize(
    "name, option",
    [
        pytest.param(*one, marks=() if one[0] in QUICK else pytest.mark.slow)
        for one in [*((name, None) for name in smallest_of_each_family()), *EXCEPTIONS]
    ],
)
def test_in_training_it_does_too_but_for_named_exceptions(name, option):
    options = {option: True} if option else {}
    own = listed(name, train=True, **options)
    assert set(listed(name, **options)) <= set(own)
    blur = "blur_pool(window_shape=3)"
    blurred = listed(name, train=True, downsample=blur, **options)
    others = [site for site in blurred if site[0] != "blur_pool"]
    assert others == EXCEPTIONS.get((name, option), [])
    assert [strides for _, strides in blurred] == [strides for _, strides in own]


@pytest.mark.parametrize(
    "name, options, average",
    [
        # From 14x14 to 4x4, by windows of 5x5 and by the size to reach.
        pytest.param("googlenet", {}, ("avg_pool", (3, 3)), marks=pytest.mark.slow),
        ("googlenet_bn", {"auxiliary": True}, ("adaptive_avg_pool", (3.5, 3.5))),
    ],
)
def test_auxiliary_heads_average_in_training_alone(name, options, average):
    body = [("conv", (2, 2))] + 4 * [("max_pool", (2, 2))]
    assert listed(name, **options) == body
    heads = 2 * [average]
    assert listed(name, train=True, **options) == body[:4] + heads + body[4:]


@EVERY_MODEL
def test_together_they_make_the_stride_of_the_last_map(name):
    model = create_model(name)
    images = jax.ShapeDtypeStruct((1, *model.image_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    # Those side by side thin maps of one size.
    levels = {site.input_shape[1:-1]: site.strides for site in sites(model)}
    strides = (math.prod(axis) for axis in zip(*levels.values(), strict=True))
    assert count(model.apply, variables, images).last_map.stride == tuple(strides)


class Foreign(Network, kw_only=True):
    """A network of stock layers, which know nothing of `downsample`."""

    image_shape = (16, 16, 1)

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.Conv(2, (3, 3), strides=(2, 2))(x)
        x = nn.max_pool(x, (2, 2), strides=(2, 1))
        return x[:, ::2, ::3].mean((1, 2))


def test_what_keeps_its_own_strides_is_seen():
    model = Foreign(downsample="blur_pool")
    assert [(s.operator, s.strides) for s in sites(model)] == [
        ("conv_general_dilated", (2, 2)),
        ("reduce_window_max", (2, 1)),
        ("slice", (2, 3)),
    ]
    assert sites(model, (32, 20, 1))[0].output_shape == (1, 16, 10, 2)


@pytest.mark.parametrize(
    "model, image_shape, message",
    [
        ("resnet20", None, "^model must be a network, got str$"),
        (nn.Conv(3, (3, 3)), None, "image_shape must be .height, .* got None$"),
        (Foreign(), (32, 32), r"image_shape must be .height, .* got \(32, 32\)$"),
        (Foreign(), 32, "image_shape must be .height, .* got 32$"),
        (Foreign(), (32, -32, 1), "image_shape -32 must be at least 1"),
        (Foreign(), (32.0, 32, 1), "image_shape takes an integer, got 32.0"),
    ],
)
def test_what_has_no_sites_is_refused(model, image_shape, message):
    with pytest.raises((TypeError, ValueError), match=message):
        sites(model, image_shape)


class Various(Network, kw_only=True):
    """What thins a map without strides, and what has strides and thins none."""

    image_shape = (12, 12, 1)

    @nn.compact
    def __call__(self, x, *, train=False):
        x = ConvTranspose(2, 2, 2)(x)
        x = Pool("fractional_max_pool", 2, 1)(x)
        x = adaptive_avg_pool(x, (8, 4))
        if train:
            x = Pool("stochastic_pool", 2)(x, train=True)
        x = nn.Dropout(0.5, deterministic=not train)(x)
        return global_avg_pool(x)


def test_what_thins_without_strides_is_seen_and_what_enlarges_is_none():
    fractional, adaptive = sites(Various())
    # floor(24 / sqrt(2)) entries.
    assert (
        str(fractional)
        == "Various/Pool_0: fractional_max_pool /1.5x1.5, 24x24 to 16x16"
    )
    assert str(adaptive) == "Various: adaptive_avg_pool /2x4, 16x16 to 8x4"
    assert adaptive.strides == (2, 4)
    *evaluated, drawn = sites(Various(), train=True)
    assert evaluated == [fractional, adaptive]
    assert (drawn.operator, drawn.strides) == ("stochastic_pool", (2, 2))
