"""Fields and padding, against what moves when pixels or padding do."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnlab import ops
from cnnlab.diagnostics.fields import fields_of
from cnnlab.diagnostics.program import trace
from cnnlab.diagnostics.receptive_field import Field, hull
from cnnlab.ops import conv, pools

MODES = {"zero": "constant", "circular": "wrap", "reflect": "reflect", "edge": "edge"}


def fields(function, shape, spatial=None):
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    program = trace(function, image)
    spatial = range(1, len(shape) - 1) if spatial is None else spatial
    return fields_of(program, 0, spatial).get(program.outputs[0])


def random_layer(rng, size):
    """A convolution of one channel over a line of so many entries."""
    window, stride, dilation = (
        rng.integers(1, 5),
        rng.integers(1, 4),
        rng.integers(1, 3),
    )
    reach = (window - 1) * dilation
    boundary = str(rng.choice(list(MODES)))
    most = min(reach, size - 1)
    padding = tuple(int(side) for side in rng.integers(0, most + 1, 2))
    if reach + 1 > size + sum(padding):
        return random_layer(rng, size)
    return dict(
        window=int(window),
        stride=int(stride),
        dilation=int(dilation),
        padding=padding,
        boundary=boundary,
    )


def apply_slowly(x, layer, disturbance):
    """The sum of each window, with `disturbance` added to what padding holds."""
    low, high = layer["padding"]
    padded = np.pad(x, (low, high), MODES[layer["boundary"]])
    if layer["boundary"] != "circular":
        padded[:low] += disturbance
        padded[len(padded) - high :] += disturbance
    reach = (layer["window"] - 1) * layer["dilation"]
    return np.array(
        [
            padded[start : start + reach + 1 : layer["dilation"]].sum()
            for start in range(0, len(padded) - reach, layer["stride"])
        ]
    )


def ours(x, layer):
    kernel = jnp.ones((layer["window"], 1, 1))
    options = {key: layer[key] for key in ("dilation", "boundary")}
    return conv(x, kernel, layer["stride"], [layer["padding"]], **options)


def stock(x, layer):
    assert layer["boundary"] == "zero"
    return lax.conv_general_dilated(
        x,
        jnp.ones((layer["window"], 1, 1)),
        (layer["stride"],),
        [layer["padding"]],
        rhs_dilation=(layer["dilation"],),
        dimension_numbers=("NWC", "WIO", "NWC"),
    )


def by_hand(x, layer):
    """The same of padding, slices and sums."""
    low, high = layer["padding"]
    x = lax.pad(x, 0.0, [(0, 0, 0), (low, high, 0), (0, 0, 0)])
    reach = (layer["window"] - 1) * layer["dilation"]
    starts = range(0, reach + 1, layer["dilation"])
    last = x.shape[1] - reach
    return sum(x[:, start : start + last : layer["stride"]] for start in starts)


def net(lay, layers, x, **more):
    """Layers in a row, each with the entries of the one before added where they fit."""
    for layer in layers:
        out = lay(x, layer, **more)
        x = out + x if out.shape == x.shape else out
    return x


def interval(field, i):
    return field.stride * i + field.low, field.stride * i + field.high


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("lay", [ours, stock, by_hand])
def test_random_nets_see_what_moves_them(lay, seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(8, 40))
    layers, entries = [], size
    for _ in range(rng.integers(1, 5)):
        layer = random_layer(rng, entries)
        if lay is not ours:
            layer["boundary"] = "zero"
        layers.append(layer)
        entries = len(apply_slowly(np.zeros(entries), layer, 0))
    (field,) = fields(functools.partial(net, lay, layers), (1, size, 1))
    slowly = functools.partial(net, apply_slowly, layers)
    still = slowly(np.zeros(size), disturbance=0)
    # Every weight is positive: nothing cancels.
    reached = slowly(np.zeros(size), disturbance=1) != still
    moves = np.array([slowly(x, disturbance=0) != still for x in np.eye(size)])
    assert field.axis == 1
    assert list(field.clean) == list(~reached)
    whole_torus = all(layer["boundary"] == "zero" for layer in layers)
    for i in range(entries):
        seen = np.flatnonzero(moves[:, i])
        low, high = interval(field, i)
        if whole_torus:
            assert all((low <= seen) & (seen <= high))
            if not reached[i]:
                assert (seen[0], seen[-1]) == (low, high)


def test_padding_of_planes_is_a_product_of_lines():
    def function(x):
        return conv(x, jnp.ones((3, 5, 1, 1)), (2, 1), ((1, 1), (2, 0)))

    rows, columns = fields(function, (1, 9, 12, 1))
    plane = np.logical_and.outer(rows.clean, columns.clean)
    still = np.asarray(function(jnp.zeros((1, 9, 12, 1))))
    padded = np.pad(np.zeros((9, 12)), ((1, 1), (2, 0)), constant_values=1)
    changed = np.asarray(
        conv(
            jnp.asarray(padded[None, ..., None], jnp.float32),
            jnp.ones((3, 5, 1, 1)),
            (2, 1),
            "VALID",
        )
    )
    np.testing.assert_array_equal(plane, (changed == still)[0, ..., 0])


def upsampled(x):
    return ops.conv_transpose(x, jnp.ones((4, 1, 1)), 2, 1)


def stock_upsampled(x):
    return lax.conv_transpose(
        x, jnp.ones((4, 1, 1)), (2,), [(2, 2)], dimension_numbers=("NWC", "WIO", "NWC")
    )


def smoothed(x):
    return conv(x, jnp.ones((3, 1, 1)))


def looped(x):
    return lax.scan(lambda y, _: (smoothed(y), y[:, :3]), x, length=4)[0]


# Functions of [batch, 12, 1] maps, that keep images apart.
FUNCTIONS = {
    "reshape": lambda x: x.reshape(-1, 4, 3).sum(-1),
    "reshape back": lambda x: jnp.repeat(smoothed(x)[..., None], 3, 2).reshape(-1, 36),
    "reshape of both": lambda x: x.reshape(-1, 3, 4).swapaxes(1, 2).reshape(-1, 12),
    "transpose": lambda x: jnp.transpose(smoothed(x), (2, 0, 1)),
    "reverse": lambda x: smoothed(x)[:, ::-1][:, 1::2],
    "mirrored sum": lambda x: x + x[:, ::-1],
    "cropped": lambda x: lax.pad(x, 0.0, [(0, 0, 0), (-2, -1, 0), (0, 0, 0)]),
    "spread": lambda x: smoothed(lax.pad(x, 0.0, [(0, 0, 0), (1, 2, 1), (0, 0, 0)])),
    "put together": lambda x: jnp.concatenate([x[:, :5], x[:, 5:]], 1),
    "halves exchanged": lambda x: jnp.concatenate([x[:, 5:], x[:, :5]], 1),
    "put twice apart": lambda x: jnp.concatenate([x[:, :4], x[:, 8:]], 1),
    "rows put together": lambda x: jnp.concatenate([x[:, 3:4], x[:, 8:9]], 1),
    "put beside zeros": lambda x: jnp.concatenate([x, jnp.zeros_like(x)], 1),
    "channels put together": lambda x: jnp.concatenate([x, smoothed(x)], 2),
    "split": lambda x: jnp.split(x, 3, 1)[1],
    "gathered": lambda x: x[:, np.array([7, 1, 4])],
    "channels gathered": lambda x: smoothed(x)[..., np.array([0, 0])],
    "sorted": lambda x: jnp.sort(smoothed(x), 1),
    "summed so far": lambda x: jnp.cumsum(smoothed(x), 1),
    "mean": lambda x: smoothed(x).mean(1),
    "gated": lambda x: smoothed(x) * x.mean(1, keepdims=True),
    "one for all": lambda x: smoothed(x) + x[:, 3:4],
    "matrix": lambda x: jnp.einsum("nwc,wv->nvc", x, jnp.ones((12, 5))),
    "one beside constants": lambda x: x[:, 3:4] + jnp.ones(12)[:, None],
    "attention": lambda x: jnp.einsum("nwc,nvc->nwv", x, x),
    "branches": lambda x: lax.cond(x.shape[0] > 1, smoothed, lambda y: y, x),
    "scan": looped,
    "scan along it": lambda x: lax.scan(
        lambda c, a: (c + a, c), jnp.zeros_like(x[:, 0]), x.swapaxes(0, 1)
    )[1].swapaxes(0, 1),
    "fori": lambda x: lax.fori_loop(0, 5, lambda _, y: smoothed(y), x),
    "while": lambda x: lax.while_loop(
        lambda y: y[1] < 3, lambda y: (smoothed(y[0]), y[1] + 1), (x, 0)
    )[0],
    "transposed": upsampled,
    "stock transposed": stock_upsampled,
    "space to depth": lambda x: conv(ops.space_to_depth(x, (3,)), jnp.ones((3, 3, 1))),
    "depth to space": lambda x: ops.depth_to_space(
        jnp.concatenate([x, smoothed(x)], 2), (2,)
    ),
    "rolled": lambda x: jnp.roll(x, 1, 1),
    "fourier": lambda x: jnp.fft.rfft(x, axis=1).real,
    "in order": lambda x: lax.top_k(smoothed(x)[..., 0], 3)[0],
}
# Where the answer is that it is not known.
UNKNOWN = {
    "attention",
    "fourier",
    "gathered",
    "mirrored sum",
    "put twice apart",
    "rows put together",
    "scan along it",
    "while",
}
# Where coordinates go on from the image's one end at the other.
AROUND = {"halves exchanged", "rolled"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_entry_moves_with_a_pixel_that_it_cannot_see(name):
    function = FUNCTIONS[name]
    (field,) = fields(function, (13, 12, 1))
    assert (field is None) == (name in UNKNOWN)
    if field is None:
        return
    images = np.concatenate([np.zeros((1, 12, 1)), np.eye(12)[..., None]])
    images += np.random.default_rng(0).random((1, 12, 1))
    out = np.asarray(jax.jit(function)(jnp.asarray(images, jnp.float32)))
    batch = 1 if name == "transpose" else 0
    out = np.moveaxis(out, batch, 0)
    axis = None if field.axis is None else field.axis + (field.axis < batch)
    moved = np.abs(out[1:] - out[:1]) > 1e-6
    rest = tuple(a for a in range(1, out.ndim) if a != axis)
    moved = moved.any(rest).reshape(12, -1)
    for pixel, i in zip(*np.nonzero(moved), strict=True):
        low, high = interval(field, int(i)) if field.stride else (field.low, field.high)
        if name in AROUND:
            pixel = low + (pixel - low) % 12
        assert low <= pixel <= high
    assert len(field.clean) == moved.shape[1]


def test_transposed_convolutions_agree():
    assert fields(upsampled, (1, 12, 1)) == fields(stock_upsampled, (1, 12, 1))
    (field,) = fields(upsampled, (1, 12, 1))
    assert field.stride * 2 == 1
    assert field.clean == (False, *(True,) * 22, False)


EXACT = {"adaptive_polyphase", "learned_polyphase", "spectral_pool"}


@pytest.mark.parametrize(
    ("name", "boundary"),
    [
        (name, boundary)
        for name in sorted(pools)
        for boundary in pools[name].boundaries
        if boundary in ("zero", "circular")
    ],
)
def test_pools_see_no_more_than_they_say(name, boundary):
    pool = functools.partial(
        pools[name], window_shape=(3,), strides=(2,), padding=((1, 1),)
    )
    pool, size = functools.partial(pool, boundary=boundary), 12
    (field,) = fields(pool, (1, size, 2))
    if field is None:
        assert name == "fractional_max_pool"
        return
    assert field.stride == 2
    assert all(field.clean) == (boundary == "circular")
    if name in EXACT:
        assert math.isinf(field.extent)
        return
    images = np.random.default_rng(0).random((1, size, 2)) + 1
    images = np.concatenate([images, images + 3 * np.eye(size)[..., None]])
    out = np.asarray(jax.jit(pool)(jnp.asarray(images, jnp.float32)))
    moved = (out[1:] != out[:1]).any(-1)
    for pixel, i in zip(*np.nonzero(moved), strict=True):
        low, high = interval(field, int(i))
        seen = {coordinate % size for coordinate in range(low, high + 1)}
        assert pixel in seen if boundary == "circular" else low <= pixel <= high


@pytest.mark.parametrize("name", sorted(set(pools) - EXACT - {"fractional_max_pool"}))
def test_a_clean_entry_is_the_same_in_a_larger_image(name):
    def function(x):
        x = conv(x, jnp.array([1.0, -2.0, 1.5]).reshape(3, 1, 1), 1, 1)
        return pools[name](x, (3,), (2,), ((1, 1),))

    larger = jnp.asarray(np.random.default_rng(1).random((1, 24, 1)), jnp.float32)
    inside = larger[:, 4:20]
    (field,) = fields(function, inside.shape)
    same = np.isclose(function(inside), function(larger)[:, 2:10], rtol=1e-6)
    assert 0 < sum(field.clean) < 8
    assert all(same[0, :, 0][np.asarray(field.clean)])


def test_a_hull_is_unknown_where_maps_are_not_aligned():
    plain = Field(1, 1, 0, 0, (True,) * 4, 4)
    others = [
        Field(2, 1, 0, 0, (True,) * 4, 4),
        Field(1, 2, 0, 0, (True,) * 4, 4),
        Field(1, -1, 3, 3, (True,) * 4, 4),
        None,
    ]
    for other, swap in itertools.product(others, (False, True)):
        assert hull([other, plain] if swap else [plain, other]) is None


def test_a_constant_sees_nothing():
    assert fields(lambda x: jnp.zeros(3) + x.shape[1], (1, 8, 8, 1)) is None
