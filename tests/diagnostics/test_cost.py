"""Counts, by hand and against nets written in other ways."""

import functools
import json
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax import lax

from cnnlab.diagnostics.cost import count
from cnnlab.layers import Conv, Pool
from cnnlab.ops import conv, max_pool, windows

FIRST_OF_ALEXNET = dict(strides=(4, 4), padding=((0, 0), (0, 0)))


def images(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def of_module(module, *shape, **options):
    x = images(*shape)
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    return count(functools.partial(module.apply, **options), variables, x)


def test_a_function_of_single_images_may_be_mapped():
    def one(kernel, image):
        return jnp.sum(conv(image, kernel, 2), (0, 1))

    args = images(3, 3, 2, 4), images(5, 8, 8, 2)
    table = count(jax.vmap(one, (None, 0)), *args)
    assert table.macs == 5 * 4 * 4 * 4 * 9 * 2
    assert table.last_map.receptive_field == (3, 3)
    assert table.last_map.parameters == 72


def test_all_cnn_c_sees_27_pixels_at_stride_4():
    x = images(1, 32, 32, 3)
    sizes = [(3, 1), (3, 1), (3, 2), (3, 1), (3, 1), (3, 2), (3, 1), (1, 1), (1, 1)]

    def net(x):
        for size, stride in sizes:
            x = lax.conv_general_dilated(
                x,
                jnp.ones((size, size, x.shape[-1], 4)),
                (stride, stride),
                "SAME" if size == 3 else "VALID",
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
        return jnp.mean(x, (1, 2))

    last = count(net, x).last_map
    assert (last.receptive_field, last.stride) == ((27, 27), (4, 4))


@pytest.mark.parametrize("make", [nn.Conv, Conv])
def test_the_arithmetic_of_cs231n(make):
    layer = make(96, (11, 11), **FIRST_OF_ALEXNET)
    (row,) = of_module(layer, 1, 227, 227, 3).rows
    assert row.output_shape == (1, 55, 55, 96)
    assert row.parameters == 34_944
    assert row.macs == 55 * 55 * 96 * 11 * 11 * 3
    assert row.fractional == ()


@pytest.mark.parametrize("make", [nn.Conv, Conv])
def test_a_geometry_that_is_not_whole_is_reported(make):
    layer = make(96, (11, 11), (4, 4), padding=((2, 2), (2, 2)))
    (row,) = of_module(layer, 1, 224, 224, 3).rows
    assert row.fractional == ("(224 + 2 + 2 - 11) / 4 + 1 = 55.25",)
    assert row.output_shape == (1, 55, 55, 96)


class Ours(nn.Module):
    lowering: str = "auto"

    @nn.compact
    def __call__(self, x):
        x = nn.relu(Conv(8, 5, 2, 1, lowering=self.lowering)(x))
        x = Pool("max_pool", 3, 2, 1)(x)
        x = Conv(8, 3, groups=4, dilation=2, lowering=self.lowering)(x)
        x = nn.BatchNorm(use_running_average=True)(x)
        x = Pool("avg_pool", 2, boundary="zero")(x)
        x = nn.relu(nn.Dense(6)(x.reshape(len(x), -1)))
        return nn.Dense(4)(x)


class Stock(nn.Module):
    @nn.compact
    def __call__(self, x):
        pads = ((1, 1), (1, 1))
        x = nn.relu(nn.Conv(8, (5, 5), (2, 2), pads)(x))
        x = nn.max_pool(x, (3, 3), (2, 2), pads)
        x = nn.Conv(8, (3, 3), feature_group_count=4, kernel_dilation=2)(x)
        x = nn.BatchNorm(use_running_average=True)(x)
        x = nn.avg_pool(x, (2, 2), (2, 2))
        x = nn.relu(nn.Dense(6)(x.reshape(len(x), -1)))
        return nn.Dense(4)(x)


def seen(table):
    """What rows say besides their names."""
    return [
        (row.output_shape, row.parameters, row.macs, row.times, row.entries)
        + (row.receptive_field, row.stride, row.phase, row.padding_share)
        + (row.fractional,)
        for row in table.rows
    ]


def test_a_stock_net_gives_the_table_of_ours():
    shape = (2, 30, 25, 3)
    ours, stock = of_module(Ours(), *shape), of_module(Stock(), *shape)
    assert seen(ours) == seen(stock)
    assert ours.macs == stock.macs > 0
    assert [row.path[1:] for row in stock.rows if row.macs] == [
        ("Conv_0",),
        ("Conv_1",),
        ("Dense_0",),
        ("Dense_1",),
    ]


@pytest.mark.parametrize("lowering", ["lax", "im2col"])
def test_every_lowering_gives_the_same_table(lowering):
    shape = (2, 16, 16, 3)
    other = of_module(Ours(lowering=lowering), *shape)
    ours = of_module(Ours(), *shape)
    assert other.rows == ours.rows
    assert other.forward_bytes == ours.forward_bytes


class Circular(nn.Module):
    stock: bool

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            if self.stock:
                x = nn.Conv(4, (3, 5), (2, 1), padding="CIRCULAR")(x)
            else:
                x = Conv(4, (3, 5), (2, 1), "SAME", boundary="circular")(x)
        return x


def test_stock_circular_padding_is_seen_through():
    ours, stock = (of_module(Circular(s), 1, 7, 8, 4).last_map for s in (False, True))
    for what in ("output_shape", "macs", "receptive_field", "stride", "entries"):
        assert getattr(stock, what) == getattr(ours, what)
    assert stock.padding_share == ours.padding_share == 0


def test_channels_may_come_first():
    def net(x):
        kernel = jnp.ones((4, 3, 3, 3))
        return lax.conv_general_dilated(x, kernel, (2, 2), "VALID")

    (row,) = count(net, images(1, 3, 9, 12), spatial=(-2, -1)).rows
    assert (row.entries, row.stride, row.receptive_field) == ((4, 5), (2, 2), (3, 3))
    assert row.fractional == ("(12 - 3) / 2 + 1 = 5.5",)


def test_parameters_count_once_where_they_meet_the_image():
    def net(weights, x):
        kernel = jnp.tanh(weights["kernel"]).astype(jnp.bfloat16)
        for _ in range(2):
            x = conv(x.astype(jnp.bfloat16), kernel)
        return x * weights["scale"]

    weights = {"kernel": images(3, 3, 2, 2), "scale": images(2), "idle": images(7)}
    weights["steps"] = jax.ShapeDtypeStruct((), jnp.int32)
    table = count(net, weights, images(1, 8, 8, 2))
    assert [row.parameters for row in table.rows if "conv" in row.name] == [36, 2]
    assert sum(row.parameters for row in table.rows) == 38
    assert (table.parameters, table.unused_parameters) == (45, 7)


def test_statistics_are_no_parameters():
    table = of_module(nn.BatchNorm(use_running_average=True), 2, 4, 4, 3)
    assert table.parameters == 6
    assert sum(row.parameters for row in table.rows) == 6


class Scanned(nn.Module):
    scan: bool
    times: int = 3

    @nn.compact
    def __call__(self, x):
        if not self.scan:
            for _ in range(self.times):
                x = nn.relu(Conv(4, 3)(x))
            return x
        loop = nn.scan(
            lambda layer, x, _: (nn.relu(layer(x)), None),
            variable_axes={"params": 0},
            split_rngs={"params": True},
            length=self.times,
        )
        return loop(Conv(4, 3), x, None)[0]


def test_a_scan_costs_and_sees_what_its_trips_do():
    plain, loop = (of_module(Scanned(scan), 1, 16, 16, 4) for scan in (False, True))
    assert loop.macs == plain.macs == 3 * 16 * 16 * 4 * 9 * 4
    assert loop.parameters == plain.parameters == 3 * (9 * 16 + 4)
    assert (loop.unused_parameters, [row.times for row in loop.rows]) == (0, [3])
    for what in ("receptive_field", "stride", "phase", "padding_share", "entries"):
        assert getattr(loop.last_map, what) == getattr(plain.last_map, what)
    assert loop.training_bytes >= plain.training_bytes > 0


def test_memory_of_a_chain_by_hand():
    def net(weights, x):
        x = conv(x, weights)  # 1 x 8 x 8 x 4
        x = max_pool(x, 2, 2)  # 1 x 4 x 4 x 4
        return x.reshape(-1) * 2  # a view, and as much again

    table = count(net, images(3, 3, 2, 4), images(1, 8, 8, 2))
    assert table.forward_bytes == 4 * (8 * 8 * 4 + 4 * 4 * 4)


def test_what_is_not_read_any_more_is_not_kept():
    def net(depth, x):
        for _ in range(depth):
            x = conv(x, jnp.ones((3, 3, 2, 2)))
        return x

    def peak(depth):
        table = count(functools.partial(net, depth), images(1, 8, 8, 2))
        return table.forward_bytes

    assert peak(1) == 4 * 128
    assert peak(2) == peak(9) == 2 * 4 * 128


def test_training_keeps_what_the_derivative_needs():
    def net(weights, x):
        hidden = conv(x, weights[0])  # the kernel's gradient needs x: an input
        return conv(jnp.sin(hidden), weights[1])  # needs cos(hidden) and sin(hidden)

    weights = [images(3, 3, 2, 5), images(3, 3, 5, 1)]
    table = count(net, weights, images(1, 8, 8, 2))
    assert table.training_bytes == 2 * 4 * 8 * 8 * 5


def test_rematerialisation_saves_memory():
    def net(weights, x, wrap):
        for kernel in weights:
            x = wrap(lambda x, kernel: jnp.sin(conv(jnp.cos(x), kernel)))(x, kernel)
        return x

    weights = [images(3, 3, 2, 2)] * 3
    plain, remat = (
        count(functools.partial(net, wrap=wrap), weights, images(1, 8, 8, 2))
        for wrap in (lambda f: f, jax.checkpoint)
    )
    assert plain.macs == remat.macs
    # The results of all blocks but the last, as the first sees the image itself.
    assert remat.training_bytes == 2 * 4 * 8 * 8 * 2 < plain.training_bytes


def test_without_parameters_the_derivative_is_by_the_image():
    table = count(jnp.sin, images(1, 8, 8, 2))
    assert (table.parameters, table.training_bytes) == (0, 4 * 128)


def test_training_may_be_another_function():
    def train(weights, x):
        return jnp.sin(jnp.sin(net(weights, x)))

    def net(weights, x):
        return conv(x, weights)

    args = images(3, 3, 2, 2), images(1, 8, 8, 2)
    table = count(net, *args, training=train)
    assert (table.training_bytes, len(table.rows)) == (2 * 4 * 128, 1)


def test_a_training_step_takes_three_times_the_products():
    """Each convolution's two gradients cost what it does, the image's but for one."""

    def loss(weights, x):
        for kernel in weights:
            x = jnp.sin(conv(x, kernel))
        return jnp.sum(x)

    args = [images(3, 3, 2, 2), images(3, 3, 2, 2)], images(1, 8, 8, 2)
    one = 8 * 8 * 2 * 9 * 2
    assert count(loss, *args).macs == 2 * one
    assert count(jax.value_and_grad(loss), *args).macs == 5 * one


@pytest.mark.parametrize("boundary", windows.BOUNDARIES)
def test_json_is_strict(boundary):
    def net(x):
        x = conv(x, jnp.ones((3, 3, 2, 2)), 2, boundary=boundary)
        return jnp.mean(jnp.sort(jnp.roll(x, x[0, 0, 0, 0].astype(int)), 1), (1, 2))

    content = count(net, images(1, 8, 8, 2)).as_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    first, last = content["rows"][0], content["rows"][-1]
    assert first["stride"] == [2, 2]
    assert first["phase"] == [1, 1]
    assert last["receptive_field"] == [None, None]


def test_what_sees_everything_has_no_phase():
    def net(x):
        gate = jnp.mean(conv(x, jnp.ones((3, 3, 2, 2))), (1, 2), keepdims=True)
        return x * gate

    *_, row = count(net, images(1, 8, 8, 2)).rows
    assert row.receptive_field == (math.inf, math.inf)
    assert row.phase == (None, None)
    assert row.stride == (1, 1)
    assert row.padding_share == 1
    assert row.as_json()["receptive_field"] == ["all", "all"]


def test_a_number_is_an_argument_like_an_array():
    def net(scale, power, x):
        return scale * x**power

    number, array = (
        count(net, scale, 2, images(1, 8, 8, 2)) for scale in (0.5, jnp.float32(0.5))
    )
    assert number.parameters == array.parameters == 1
    assert number.unused_parameters == 0
    assert seen(number) == seen(array)


def test_what_no_array_can_be_is_refused():
    with pytest.raises(TypeError, match="trees of arrays, got one with str$"):
        count(lambda w, x: x, {"kernel": "big"}, images(1, 8, 8, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spatial": 1}, r"spatial takes axes, such as \(1, 2\), got 1$"),
        ({"spatial": "hw"}, "spatial takes an integer, got 'h'"),
        ({"image": None}, "image takes an integer, got None"),
    ],
)
def test_what_is_no_axis_is_refused(change, message):
    with pytest.raises(TypeError, match=message):
        count(lambda x: x, images(1, 8, 8, 2), **change)


def test_an_image_without_pixels_is_refused():
    message = r"an image of shape \(1, 0, 8, 2\) has no pixels"
    with pytest.raises(ValueError, match=message):
        count(jnp.sin, images(1, 0, 8, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": 2}, "image 2 is none of the 2 arguments"),
        ({"image": 0}, "the image must be one array, got 2"),
        ({"spatial": (1, -3)}, r"an image of shape .* has no spatial axes \[1, -3\]"),
        ({"spatial": (4,)}, r"an image of shape \(1, 8, 8, 2\) has no spatial axes"),
    ],
)
def test_bad_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        count(lambda w, x: x, [images(1), images(2)], images(1, 8, 8, 2), **change)
