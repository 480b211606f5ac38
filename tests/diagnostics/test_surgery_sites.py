"""Surgery lists every place where a function thins its maps, and no other."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnlab.diagnostics import surgery
from cnnlab.models import create_model, list_models
from cnnlab.models import sites as sites_of_model
from cnnlab.ops import avg_pool, conv, conv_blur, lp_pool, max_pool
from cnnlab.ops.global_pooling import adaptive_avg_pool

MAP = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
CHANNELS_FIRST = jax.ShapeDtypeStruct((2, 3, 8, 8), jnp.float32)


def _told(site):
    shapes = site.input_shape, site.output_shape
    return site.path, site.operator, site.strides, *shapes


QUICK = ("lenet5", "lenet5_1998", "resnet20")
# More blocks of the same kind.
DEEPER = ("101", "152", "110")


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in list_models()
        if not any(depth in name for depth in DEEPER)
    ],
)
def test_sites_of_a_registered_model_are_those_that_it_lists(name):
    model = create_model(name)
    x = jax.ShapeDtypeStruct((1, *model.image_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    found = surgery.sites(model.apply, variables, x)
    assert list(map(_told, found)) == list(map(_told, sites_of_model(model)))
    assert [site.index for site in found] == list(range(len(found)))
    assert all(site.obstacle is None for site in found)


def _kinds(fn, x=MAP):
    return [(site.kind, site.itself) for site in surgery.sites(fn, x)]


def test_pools_of_every_making():
    flax_mean = functools.partial(nn.avg_pool, strides=(2, 2), padding="SAME")
    assert _kinds(lambda x: nn.max_pool(x, (2, 2), (2, 2))) == [("pool", "max_pool")]
    least = lambda x: lax.reduce_window(  # noqa: E731
        x, jnp.inf, lax.min, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
    )
    assert _kinds(least) == [("pool", "min_pool")]
    assert _kinds(lambda x: flax_mean(x, (3, 3))) == [("pool", "avg_pool")]
    real = "avg_pool(count_include_pad=False)"
    counted = lambda x: flax_mean(x, (3, 3), count_include_pad=False)  # noqa: E731
    assert _kinds(counted) == [("pool", real)]
    assert _kinds(lambda x: lp_pool(x, 2, 2, p=3.0)) == [("pool", "lp_pool(p=3.0)")]
    assert _kinds(lambda x: avg_pool(x, 2, 2, count_include_pad=False)) == [
        ("pool", real)
    ]


def test_a_mean_by_a_reciprocal_or_by_counts_made_outside():
    def total(x):
        return lax.reduce_window(
            x,
            0.0,
            lax.add,
            (1, 3, 3, 1),
            (1, 2, 2, 1),
            ((0, 0), (1, 0), (1, 0), (0, 0)),
        )

    counts = np.outer([2, 3, 3, 3], [2, 3, 3, 3]).astype(np.float32)[None, :, :, None]
    real = ("pool", "avg_pool(count_include_pad=False)")
    assert _kinds(lambda x: total(x) * (1 / 9)) == [("pool", "avg_pool")]
    assert _kinds(lambda x: total(x) / counts) == [real]
    for other in (total, lambda x: total(x) / (counts + 1), lambda x: total(x) / 4):
        (site,) = surgery.sites(other, MAP)
        assert site.obstacle and site.itself is None


def test_convolutions_and_slices_of_every_layout():
    kernel = jnp.ones((3, 3, 3, 4))

    def channels_first(x):
        y = lax.conv_general_dilated(
            x, kernel, (2, 2), "SAME", dimension_numbers=("NCHW", "HWIO", "NCHW")
        )
        return y[:, :, 1::2, ::2]

    one, two = surgery.sites(channels_first, CHANNELS_FIRST)
    assert (one.kind, one.axes, one.strides) == ("convolution", (2, 3), (2, 2))
    assert (one.window_shape, one.padding) == ((3, 3), ((0, 1), (0, 1)))
    assert (two.kind, two.axes, two.output_shape) == ("slice", (2, 3), (2, 4, 2, 2))
    (one,) = surgery.sites(lambda x: conv(x, kernel, 2, boundary="circular"), MAP)
    assert (one.operator, one.boundary, one.axes) == ("conv", "circular", (1, 2))
    assert str(one) == "site 0, conv /2x2, (2, 8, 8, 3) to (2, 4, 4, 4)"


def test_no_site_where_nothing_is_thinned():
    def function(x):
        every_second_image, every_second_channel = x[::2], x[..., ::2]
        wide = lax.conv_transpose(x, jnp.ones((3, 3, 3, 3)), (2, 2), "SAME")
        unused = max_pool(x, 2, 2)
        dense = max_pool(x, 2, 1), conv(x, jnp.ones((3, 3, 3, 3)))
        # Constants make no map.
        counts = lax.reduce_window(
            jnp.ones((8, 8)), 0.0, lax.add, (2, 2), (2, 2), "VALID"
        )
        del unused
        return every_second_image, every_second_channel, wide, dense, counts

    assert surgery.sites(function, MAP) == ()


def test_calls_loops_and_branches_are_opened():
    def step(x, _):
        return jnp.repeat(jnp.repeat(max_pool(x, 2, 2), 2, 1), 2, 2), None

    def function(x):
        x = jax.jit(jax.checkpoint(lambda x: max_pool(x, 2, 2)))(x)
        x, _ = lax.scan(step, x, None, length=3)
        return lax.cond(
            x.sum() > 0, lambda x: x[:, ::2, ::2], lambda x: x[:, :2, :2], x
        )

    sites = surgery.sites(function, MAP)
    assert [site.in_loop for site in sites] == [False, True, True]
    assert [site.kind for site in sites] == ["pool", "pool", "slice"]


def test_what_cannot_be_swapped_is_listed_with_the_reason():
    kernel = jnp.ones((3, 3, 3, 3))
    functions = {
        "adaptive_avg_pool": lambda x: adaptive_avg_pool(x, (3, 3)),
        "conv_blur": lambda x: conv_blur(x, kernel, 2),
        "max_pool": jax.grad(lambda x: (max_pool(x, 2, 2) ** 2).sum()),
    }
    reasons = "size of the result", "no form at stride 1", "derivative"
    for (name, function), reason in zip(functions.items(), reasons, strict=True):
        site = surgery.sites(function, MAP)[0]
        assert site.operator == name
        assert reason in site.obstacle
        with pytest.raises(ValueError, match=rf"site 0 \({name}\) cannot be swapped"):
            surgery.swap_downsampling(function, "avg_pool")(jnp.ones(MAP.shape))


def test_nothing_is_computed_for_a_list():
    def function(x):
        jax.debug.callback(lambda: pytest.fail("was run"))
        return max_pool(x, 2, 2)

    assert len(surgery.sites(function, jnp.ones(MAP.shape))) == 1
