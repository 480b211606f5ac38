"""What follows a rolled image: closed forms, and the claims that rolling refutes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from rolled import computed_lattice, multiples, refuted, rolled_images, values_of

from cnnlab import ops
from cnnlab.diagnostics.geometry import walk
from cnnlab.ops import conv, pools

IMAGE = (8, 6)
SHIFTS = multiples(IMAGE, (1, 1))
CHANNELS = 2
KERNEL = np.random.default_rng(0).normal(size=(3, 3, CHANNELS, CHANNELS))
ALL, NONE = (1, 1), IMAGE


def smooth(x, strides=1, padding="SAME", boundary="circular"):
    return conv(x, jnp.asarray(KERNEL, x.dtype), strides, padding, boundary=boundary)


def kept(x, **options):
    return pools["adaptive_polyphase"](x, 2, 2, pool=None, **options)


def kept_alike(x):
    y, z = jnp.split(kept(jnp.concatenate([x, smooth(x)], -1)), 2, -1)
    return smooth(y) + z


def wrapped(x, by):
    return jnp.pad(x, ((0, 0), (by, by), (by, by), (0, 0)), mode="wrap")


def repeated(x):
    return lax.fori_loop(0, 3, lambda _, y: smooth(y) + x, x)


def until(x):
    return lax.while_loop(
        lambda y: jnp.abs(y).mean() > 1e-3, lambda y: jnp.tanh(smooth(y)) / 9, x
    )


def exchanged(x):
    """What begins as two halves, which change their order an odd number of times."""
    halves = lax.fori_loop(0, 3, lambda _, both: both[::-1], (x[:, :4], x[:, 4:]))
    return jnp.concatenate(halves, 1)


def by_entry(x):
    return lax.scan(lambda c, row: (c + row, c), x[:, 0], x.swapaxes(0, 1))[1]


def turned(x):
    twice = jnp.concatenate([x, x], 1)
    start = jnp.argmax(jnp.arange(5) * 2 % 5)
    return lax.dynamic_slice_in_dim(twice, start, 8, 1)


def turned_by_itself(x):
    twice = jnp.concatenate([x, x], 1)
    return lax.dynamic_slice_in_dim(twice, jnp.argmax(x.mean((0, 2, 3))), 8, 1)


# The shifts of which multiples are claimed, along both axes.
FUNCTIONS = {
    "circular": (smooth, ALL),
    "not padded": (lambda x: smooth(x, padding="VALID"), NONE),
    "rolled": (lambda x: jnp.roll(x, (3, -1), (1, 2)), ALL),
    "wrapped by hand": (lambda x: smooth(wrapped(x, 1), padding="VALID"), ALL),
    "wrapped too far": (lambda x: smooth(wrapped(x, 2), padding="VALID"), NONE),
    "wrapped for two": (
        lambda x: smooth(smooth(wrapped(x, 2), 1, "VALID"), 1, "VALID"),
        ALL,
    ),
    "wrapped wrongly": (lambda x: jnp.concatenate([x[:, 4:], x[:, 3:7]], 1), (8, 1)),
    "of two maps": (lambda x: jnp.concatenate([x[:, :4], 2 * x[:, 4:]], 1), (8, 1)),
    "exchanged": (exchanged, ALL),
    "strided": (lambda x: smooth(x, (2, 3)), (2, 3)),
    "strides that do not divide": (lambda x: smooth(x, 4), (4, 6)),
    "in two strides": (lambda x: smooth(smooth(x, 2), (2, 1)), (4, 2)),
    "windows side by side": (lambda x: pools["max_pool"](x, 2, 2), (2, 2)),
    "windows that overlap": (lambda x: pools["max_pool"](x, 3, 2), NONE),
    "nothing to pad": (
        lambda x: conv(x, jnp.asarray(KERNEL[:1, :1], x.dtype), 2, boundary="zero"),
        (2, 2),
    ),
    "sliced": (lambda x: x[:, 1::2], (2, 1)),
    "mean": (lambda x: smooth(x).mean((1, 2)), ALL),
    "mean of strides": (lambda x: smooth(x, 2).mean((1, 2)), (2, 2)),
    "mean of one axis": (lambda x: smooth(x, 2).mean(1), (2, 2)),
    "gated": (lambda x: x * jax.nn.sigmoid(x.mean((1, 2), keepdims=True)), ALL),
    "normalised": (lambda x: (x - x.mean((0, 1, 2))) / x.std((0, 1, 2)), ALL),
    "biased": (lambda x: x + jnp.arange(CHANNELS, dtype=x.dtype), ALL),
    "placed": (lambda x: x + jnp.arange(8, dtype=x.dtype)[:, None, None], (8, 1)),
    "placed by data": (lambda x: x + x[:, :1], (8, 1)),
    "reversed": (lambda x: smooth(x)[:, ::-1], (8, 1)),
    "sorted": (lambda x: jnp.sort(x, 1), (8, 1)),
    "summed so far": (lambda x: jnp.cumsum(x, 2), (1, 6)),
    "place of the largest": (lambda x: jnp.argmax(x, 1), (8, 1)),
    "largest channel": (lambda x: jnp.argmax(x, 3), ALL),
    "exchanged axes": (lambda x: jnp.transpose(smooth(x), (0, 3, 2, 1)), ALL),
    "dense": (lambda x: x.reshape(len(x), -1) @ jnp.ones((96, 3), x.dtype), NONE),
    "1x1": (lambda x: x @ jnp.asarray(KERNEL[0, 0], x.dtype), ALL),
    "attention": (lambda x: jnp.einsum("nhwc,ngvc->nhwgv", x, x), NONE),
    "attention of rows": (lambda x: jnp.einsum("nhwc,nhvc->nhwv", x, x), (1, 6)),
    "space to depth": (lambda x: ops.space_to_depth(x, (2, 2)), (2, 2)),
    "and back": (
        lambda x: ops.depth_to_space(ops.space_to_depth(x, (2, 2)), (2, 2)),
        (2, 2),
    ),
    "repeated entries": (lambda x: smooth(jnp.repeat(x, 2, 1)), ALL),
    "gathered": (lambda x: x[:, np.array([1, 3, 5])], (8, 1)),
    "gathered channels": (lambda x: x[..., np.array([1, 0, 0])], ALL),
    "turned": (turned, ALL),
    "turned by itself": (turned_by_itself, (8, 1)),
    "repeated": (repeated, ALL),
    "until": (until, ALL),
    "entry by entry": (by_entry, (8, 1)),
    "one or the other": (lambda x: lax.cond(x.mean() > 0, smooth, jnp.tanh, x), ALL),
    "by a pixel": (lambda x: lax.cond(x[0, 0, 0, 0] > 0, smooth, jnp.tanh, x), NONE),
    "few waves": (lambda x: pools["spectral_pool"](x, 2, (2, 1), "SAME"), (2, 1)),
    "fewer waves": (lambda x: pools["spectral_pool"](x, (1, 3)), (1, 3)),
    "Fourier": (lambda x: jnp.abs(jnp.fft.fft(x, axis=1)), (8, 1)),
    "ideal": (lambda x: ops.alias_free_activation(x, jnp.tanh), ALL),
    "regions": (lambda x: ops.adaptive_avg_pool(x, (4, 4)), (2, 6)),
    "one region": (lambda x: ops.adaptive_max_pool(x, 1), ALL),
    "one window": (lambda x: pools["avg_pool"](x, IMAGE), ALL),
    "one blurred window": (lambda x: pools["blur_pool"](x, IMAGE), NONE),
    "transposed": (
        lambda x: ops.conv_transpose(
            x, jnp.asarray(KERNEL, x.dtype), 2, boundary="circular"
        ),
        ALL,
    ),
    "drawn": (lambda x: x * jax.random.normal(jax.random.key(0), x.shape[1:]), NONE),
    "kept, mean": (lambda x: smooth(kept(x)).mean((1, 2)), ALL),
    "kept alike": (lambda x: kept_alike(x).max((1, 2)), ALL),
    "kept apart": (
        lambda x: (kept(smooth(x)) + kept(x)).max((1, 2)),
        (2, 2),
    ),
    "kept by a key": (
        lambda x: pools["learned_polyphase"](x, 2, 2, key=jax.random.key(1)).max(
            (1, 2)
        ),
        NONE,
    ),
}


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).normal(size=(*IMAGE, CHANNELS))


def described(function, batch=1):
    with jax.enable_x64(True):
        return walk(function, jax.ShapeDtypeStruct((batch, *IMAGE, CHANNELS), float))


@pytest.fixture(scope="module")
def computed(image):
    def everything(x):
        return {name: function(x) for name, (function, _) in FUNCTIONS.items()}

    return values_of(everything, rolled_images(image, SHIFTS))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_claims_are_as_worked_out_and_hold(name, computed):
    function, expected = FUNCTIONS[name]
    (row,) = described(function).outputs
    assert row.shifts == expected
    assert bool(row.why) == (expected != ALL)
    assert not refuted(row, IMAGE, SHIFTS, computed[name])


@pytest.mark.parametrize(
    "boundary, head, expected",
    [
        ("circular", "mean", (4, 4)),
        ("circular", "max", (4, 4)),
        ("zero", "mean", (16, 16)),
        ("circular", "flatten", (16, 16)),
    ],
)
def test_two_levels_of_stride_two_keep_every_fourth_shift(boundary, head, expected):
    def net(x):
        for _ in range(2):
            x = pools["max_pool"](jax.nn.relu(smooth(x, boundary=boundary)), 2, 2)
        x = jax.nn.relu(smooth(x, boundary=boundary))
        if head == "flatten":
            return x.reshape(len(x), -1) @ jnp.ones((x[0].size, 3))
        return x.mean((1, 2)) if head == "mean" else x.max((1, 2))

    found = walk(net, jax.ShapeDtypeStruct((1, 16, 16, CHANNELS), jnp.float32))
    assert found.outputs[0].shifts == expected
    first = found.first_break
    if boundary == "zero":
        assert (first.name, first.before, first.after) == ("conv", ALL, (16, 16))
    else:
        assert (first.name, first.before, first.after) == ("max_pool", ALL, (2, 2))


def test_what_was_cut_off_is_the_first_break():
    def net(x):
        x = smooth(x, padding="VALID")
        return smooth(x, 2).mean((1, 2))

    (first,) = described(net).breaks
    assert (first.name, first.before, first.after) == ("conv", ALL, NONE)
    assert "6 entries do not go around 8" in first.why


def test_padding_that_is_used_up_breaks_nothing():
    assert not described(FUNCTIONS["wrapped for two"][0]).breaks


def test_an_image_whose_choice_differs_from_its_neighbours_is_not_added_to_them():
    def neighbours(x):
        y = kept(x)
        return y + y[::-1]

    (row,) = described(neighbours, batch=2).outputs
    assert row.shifts_up_to_roll == row.shifts == (2, 2)
    (row,) = described(lambda x: kept(x).sum(0), batch=2).outputs
    assert row.shifts_up_to_roll == (2, 2)
    (row,) = described(lambda x: kept(x).sum((0, 1, 2)), batch=2).outputs
    assert row.shifts == ALL


def test_averages_may_be_invariant_under_more_shifts_and_the_table_says_so(image):
    def net(x):
        return pools["avg_pool"](smooth(x), 2, 2).mean((1, 2))

    (row,) = described(net).outputs
    values = values_of(net, rolled_images(image, SHIFTS))
    assert row.shifts == (2, 2)
    assert computed_lattice(IMAGE, SHIFTS, values) == ALL
    assert "not looked for" in row.why


def test_margins_are_what_padding_reaches():
    def net(x):
        x = smooth(x, boundary="zero")
        return conv(x, jnp.ones((2, 2, CHANNELS, 1)), 2, ((1, 0), (0, 0)))

    first, last = described(net).rows
    assert first.margin == ((1, 1), (1, 1))
    # The last windows read rows 5 and 6, and columns 4 and 5.
    assert last.margin == ((1, 0), (1, 1))
    assert described(smooth).rows[0].margin == ((0, 0), (0, 0))
    assert described(lambda x: smooth(x).mean((1, 2))).outputs[0].margin == (None, None)


def test_loops_and_their_losses_have_rows():
    def net(x):
        return lax.fori_loop(0, 3, lambda _, y: smooth(y, boundary="zero"), x)

    found = described(net)
    assert [row.name for row in found.rows] == ["conv"]
    assert found.first_break.name == "conv"

    def branches(x):
        varying = jnp.broadcast_to(jnp.arange(6.0)[:, None], x.shape).astype(x.dtype)
        return lax.cond(x.mean() > 0, smooth, lambda _: varying, x)

    (found,) = described(branches).breaks
    assert (found.name, found.before, found.after) == ("cond", ALL, (1, 6))


def test_all_axes_that_are_asked_for_are_walked():
    line = jax.ShapeDtypeStruct((1, 12, 2), jnp.float32)
    assert walk(lambda x: x[:, ::3], line).outputs[0].shifts == (3,)
    volume = jax.ShapeDtypeStruct((4, 6, 8, 2), jnp.float32)
    found = walk(lambda x: x[::2, :, ::4], volume, spatial=(0, 1, 2))
    assert found.outputs[0].shifts == (2, 1, 4)


def test_json_holds_the_table():
    found = described(lambda x: {"a": smooth(x, 2), "b": jnp.zeros(3)}).as_json()
    assert found["image"] == [8, 6]
    a, b = found["outputs"]
    assert (a["name"], a["shifts"], a["axes"]) == ("output['a']", [2, 2], [1, 2])
    assert (a["stride"], a["receptive_field"]) == ([2, 2], [3, 3])
    assert (b["shifts"], b["axes"]) == ([1, 1], [None, None])
    assert found["breaks"][0]["before"] == [1, 1]


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((jnp.ones((8, 6)),), {}, "an image of shape (8, 6) has no spatial axes"),
        ((jnp.ones((1, 8, 6, 1)),), {"image": 1}, "image 1 is none of the 1 arguments"),
        ((jnp.ones((1, 0, 6, 1)),), {}, "has no pixels"),
        (({"a": jnp.ones(3), "b": jnp.ones(3)},), {}, "the image must be one array"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(arguments, options, message):
    with pytest.raises(ValueError) as error:
        walk(lambda x: x, *arguments, **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
