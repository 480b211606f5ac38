"""The walk never claims a shift that computing refutes: pools, boundaries, models."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rolled import multiples, refuted, rolled_images, values_of

from cnnlab.diagnostics.geometry import walk
from cnnlab.models import create_model, list_models
from cnnlab.models.network import options_of
from cnnlab.ops import conv, global_pools, pools
from cnnlab.ops.windows import BOUNDARIES

IMAGE, CHANNELS = (8, 6), 2
SHIFTS = multiples(IMAGE, (1, 1))
KERNEL = np.random.default_rng(0).normal(size=(3, 3, CHANNELS, CHANNELS))
SHIFT_EXACT = [name for name in pools if pools[name].traits.shift_exact]
# Windows, strides and padding: side by side, overlapping, unequal, not dividing.
GEOMETRIES = [
    (2, 2, "VALID"),
    (3, 2, "SAME"),
    ((3, 2), (1, 2), "SAME"),
    ((3, 5), (4, 4), "SAME"),
    (2, (2, 1), ((0, 1), (1, 1))),
]


def smooth(x):
    return conv(x, jnp.asarray(KERNEL, x.dtype), boundary="circular")


def nets(names, geometry, boundary, x):
    """For each pool its map, and what nets make of it."""
    made = {}
    for name in names:
        y = pools[name](jax.nn.relu(smooth(x)), *geometry, boundary=boundary)
        z = jax.nn.relu(smooth(y))
        made[name] = {"map": y, "sum": y + z, "rows": z.max(1), "mean": z.mean((1, 2))}
    return made


def assert_sound(function, image):
    """Its claims, after none is refuted."""
    shape = (1, *image.shape)
    with jax.enable_x64(True):
        rows = walk(function, jax.ShapeDtypeStruct(shape, jnp.float64)).outputs
    values = jax.tree.leaves(values_of(function, rolled_images(image, SHIFTS)))
    for row, value in zip(rows, values, strict=True):
        assert not refuted(row, IMAGE, SHIFTS, value), row.name
        is_all = set(row.shifts_up_to_roll) == {1}
        assert is_all or row.why, row.name
    return {row.name: row for row in rows}


@pytest.mark.parametrize(
    "geometry, boundary",
    [
        case
        if (i, case[1]) in ((1, "circular"), (0, "zero"))
        else pytest.param(*case, marks=pytest.mark.slow)
        for i, geometry in enumerate(GEOMETRIES)
        for case in [(geometry, boundary) for boundary in BOUNDARIES]
    ],
)
def test_no_claim_for_a_pool_is_refuted(geometry, boundary):
    names = [name for name in pools if boundary in pools[name].boundaries]
    net = functools.partial(nets, names, geometry, boundary)
    image = np.random.default_rng(1).normal(size=(*IMAGE, CHANNELS))
    rows = assert_sound(net, image)
    if geometry in GEOMETRIES[:2] and boundary == "circular":
        for name in names:
            expected = (1, 1) if name in SHIFT_EXACT else (2, 2)
            expected = IMAGE if name == "fractional_max_pool" else expected
            assert rows[f"output['{name}']['mean']"].shifts == expected, name


def ties():
    """Images that look the same from several places."""
    y, x = np.mgrid[: IMAGE[0], : IMAGE[1]]
    points = np.zeros(IMAGE)
    points[[0, 1, 4, 5], [0, 1, 3, 4]] = 1
    rng = np.random.default_rng(2)
    return {
        "constant": np.ones(IMAGE),
        "checkered": (y + x) % 2,
        "striped": y % 4 + x % 3,
        "points": points,
        "few values": rng.integers(0, 2, IMAGE),
        "periodic": np.tile(rng.normal(size=(2, 2)), (4, 3)),
    }


def kept(strides, x):
    made = {}
    for name in SHIFT_EXACT:
        y = pools[name](x, 1, strides, "SAME", pool=None)
        z = smooth(y)
        again = pools[name](z, 2, 2, "SAME")
        made[name] = {
            "map": y,
            "rows": z.max(1),
            "columns": z.max(2),
            "all": z.max((1, 2)),
            "again": again,
            "apart": (z + smooth(pools[name](abs(x) + x, 1, strides, "SAME"))),
        }
    return made


@pytest.mark.slow
@pytest.mark.parametrize("strides", [(2, 1), (2, 2), (3, 2), (4, 2)])
def test_no_claim_for_a_choice_is_refuted_by_ties(strides):
    net = functools.partial(kept, strides)
    with jax.enable_x64(True):
        shape = (1, *IMAGE, CHANNELS)
        rows = walk(net, jax.ShapeDtypeStruct(shape, jnp.float64)).outputs
    images = [np.stack([image] * CHANNELS, -1) * 1.0 for image in ties().values()]
    rolled = np.concatenate([rolled_images(image, SHIFTS) for image in images])
    for row, value in zip(rows, jax.tree.leaves(values_of(net, rolled)), strict=True):
        for name, of_one in zip(ties(), np.split(value, len(images)), strict=True):
            assert not refuted(row, IMAGE, SHIFTS, of_one), (row.name, name)


@pytest.mark.parametrize("name", global_pools)
def test_no_claim_for_a_head_is_refuted(name):
    image = np.random.default_rng(3).normal(size=(*IMAGE, CHANNELS))
    (row,) = assert_sound(lambda x: global_pools[name](smooth(x)), image).values()
    assert row.shifts == (1, 1)


# The smallest image on which most families have shifts to claim; heads without a
# global mean claim none, and cost no computing.
SIDES = {
    "alexnet_2012": 67,
    "alexnet": 63,
    "zfnet": 63,
    "nin_imagenet": 43,
    "nin_cifar10": 16,
    "zeiler_fergus": 8,
    "lenet5": 16,
    "lenet5_1998": 32,
    "vgg11": 32,
    "googlenet": 64,
    "googlenet_bn": 64,
    "resnet18": 64,
    "resnet18_v1": 64,
    "resnet18_v2": 64,
    "cifar_resnet18": 16,
    "resnet20": 16,
    "all_cnn_a": 16,
    "base_a": 16,
    "conv_pool_a": 16,
    "strided_a": 16,
    "red_green": 32,
}
KEPT = {"downsample": "adaptive_polyphase(pool=None)"}


def test_every_family_is_walked():
    told = {type(create_model(name)) for name in SIDES}
    assert told == {type(create_model(name)) for name in list_models()}


@pytest.mark.slow
@pytest.mark.parametrize("name", SIDES)
def test_no_claim_for_a_model_that_chooses_is_refuted(name):
    side = SIDES[name]
    allowed = options_of(type(create_model(name)))
    # Dense layers of few features, and no heads of training, which need larger images.
    small = {"head_features": 32, "auxiliary": False}
    small = {option: small[option] for option in small if option in allowed}
    model = create_model(name, 10, boundary="circular", **small, **KEPT)
    shape = (1, side, side, model.image_shape[-1])
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    (row,) = walk(model.apply, variables, images).outputs
    if row.shifts == (side, side):
        assert row.why
        return
    rng = np.random.default_rng(4)
    variables = jax.tree.map(
        lambda leaf: (
            rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
            if len(leaf.shape) < 2
            else rng.normal(0, np.prod(leaf.shape[:-1]) ** -0.5, leaf.shape).astype(
                np.float32
            )
        ),
        variables,
    )
    step = row.shifts[0]
    shifts = [(0, 0), (step, 0), (0, step), (2 * step, side - step)]
    rolled = rolled_images(rng.normal(size=shape[1:]).astype(np.float32), shifts)
    quickly = {"xla_backend_optimization_level": 0}
    scores = jax.jit(model.apply, compiler_options=quickly)(variables, rolled)
    values = np.asarray(scores)[:, None]
    assert not refuted(row, (side, side), shifts, values, tolerance=1e-4)


@pytest.mark.parametrize("name", ["lenet5", "resnet20"])
def test_a_zero_boundary_leaves_the_identity_alone(name):
    model = create_model(name, 10)
    images = jax.ShapeDtypeStruct((1, *model.image_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    found = walk(model.apply, variables, images)
    assert found.outputs[0].shifts == model.image_shape[:2]
    assert found.first_break.why == "pads the map with zeros"
