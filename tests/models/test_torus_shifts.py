"""Which networks see no shift of a torus, and which do.

Under `downsample="adaptive_polyphase(pool=None)", boundary="circular"` a layer whose
padding keeps the size of its map moves its result with the map, and so does one that
thins it by strides which divide it. A mean at the end then gives the scores of the
image that did not move. Three things break this: a layer that is not padded cuts a
margin off the torus (LeNet-5; AlexNet, ZFNet and Network in Network for ImageNet, whose
first strides keep fewer entries than they could; the twelve nets of All-CNN, by their
3x3 convolution after the stages); dense layers read more than one entry, each by its
own weights. It holds all the same where strides do not divide the map that they thin:
what is kept there does not move at all. So the AlexNet of 2012 sees no shift of its
227x227 images.
"""

import functools
import itertools

import jax
import numpy as np
import pytest
from stock_layers import fast_compile

from cnnlab.layers.residual import SHORTCUTS
from cnnlab.models import create_model, list_models, resnet
from cnnlab.models.network import options_of

# Two stages of one block each, in place of the paper's.
SMALL_STAGES = {18: ((1, 1), False), 50: ((1, 1), True)}
TORUS = {"boundary": "circular"}
EXACT = TORUS | {"downsample": "adaptive_polyphase(pool=None)"}


@functools.cache
def image_of(side, channels):
    values = np.random.default_rng(0).normal(size=(side, side, channels))
    return values.astype(np.float32)


def variables_of(model, image):
    """The model's variables, none of them zero."""
    images = jax.ShapeDtypeStruct((1, *image.shape), image.dtype)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        if path[-1].key != "kernel":
            return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        # Blocks in a loop have an axis before those of the window.
        deviation = np.sqrt(2 / np.prod(leaf.shape[-4:-1]))
        return rng.normal(0, deviation, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def largest_change(model, side, shifts):
    """Of any score when the image moves, as a share of how far they lie apart."""
    image = image_of(side, model.image_shape[-1])
    variables = variables_of(model, image)
    moved = [np.roll(image, shift, (0, 1)) for shift in ((0, 0), *shifts)]
    scores = np.asarray(fast_compile(model.apply)(variables, np.stack(moved)))
    assert np.ptp(scores[0]) > 0
    return abs(scores[1:] - scores[0]).max() / np.ptp(scores[0])


def random_shifts(side):
    return tuple(map(tuple, np.random.default_rng(2).integers(1, side, (4, 2))))


def small(name, **options):
    """The model with ten classes, and few features in hidden dense layers."""
    if "head_features" in options_of(type(create_model(name))):
        options["head_features"] = 32
    return create_model(name, 10, **options)


def cases(table, quick):
    """Each entry of the table, slow unless its place is among the quick ones."""
    return [
        case if place in quick else pytest.param(*case, marks=pytest.mark.slow)
        for place, case in enumerate(table)
    ]


# With the side of the image.
INVARIANT = [
    ("zeiler_fergus", 8, {}),  # its last map is 1x1
    ("nin_cifar10", 16, {}),
    ("zeiler_fergus", 8, {"lrn": True}),
    ("resnet20", 16, {}),
    ("resnet20", 16, {"shortcut": "projection"}),
    ("resnet20", 16, {"pool": "max_pool"}),
    ("resnet18", 64, {}),
    ("resnet50_v2", 64, {"scan": True}),
    ("cifar_resnet18", 16, {}),
    ("vgg11", 32, {}),  # its last map is 1x1
    ("googlenet", 64, {"auxiliary": False}),
    ("googlenet_bn", 64, {}),
    ("red_green", 16, {}),
    # Strides that do not divide.
    ("alexnet_2012", 67, {}),
    ("zfnet", 63, {}),
    ("alexnet", 63, {}),
    ("nin_imagenet", 43, {}),
]
MOVED = [
    ("lenet5", 16),
    ("all_cnn_c", 16),
    ("lenet5_1998", 32),
    ("zeiler_fergus", 16),
    ("alexnet_2012", 72),
    ("zfnet", 64),
    ("nin_imagenet", 64),
    ("vgg11", 64),
]


@pytest.mark.parametrize("name, side, options", cases(INVARIANT, quick={0, 3}))
def test_scores_do_not_see_any_shift(name, side, options):
    model = small(name, **options, **EXACT)
    assert largest_change(model, side, random_shifts(side)) < 1e-5


@pytest.mark.parametrize(
    "version, depth, shortcut",
    cases(
        list(itertools.product(resnet.BLOCKS, SMALL_STAGES, SHORTCUTS)),
        quick={10},
    ),
)
def test_no_kind_of_residual_block_sees_any_shift(
    version, depth, shortcut, monkeypatch
):
    monkeypatch.setattr(resnet, "STAGES", SMALL_STAGES)
    net = functools.partial(
        resnet.ResNet, depth=depth, version=version, shortcut=shortcut, num_classes=10
    )
    shifts = random_shifts(16)
    assert largest_change(net(**EXACT), 16, shifts) < 1e-5
    assert largest_change(net(**TORUS), 16, shifts) > 1e-2


@pytest.mark.parametrize("name, side", cases(MOVED, quick={0}))
def test_what_is_not_padded_or_read_densely_moves_the_scores(name, side):
    model = small(name, **EXACT)
    assert largest_change(model, side, random_shifts(side)) > 1e-3


def test_every_family_is_told_to_see_shifts_or_not():
    told = {type(create_model(name)) for name, *_ in (*INVARIANT, *MOVED)}
    assert told == {type(create_model(name)) for name in list_models()}


# The whole strides of papers.
@pytest.mark.parametrize(
    "name, stride, pool",
    cases(
        [
            ("resnet20", 4, "max_pool"),
            ("resnet20", 4, None),
            ("cifar_resnet18", 8, None),
            ("resnet18", 32, "max_pool"),
        ],
        quick={0},
    ),
)
def test_strided_nets_do_not_see_shifts_by_their_whole_stride(name, stride, pool):
    model, side = small(name, pool=pool, **TORUS), 2 * stride
    shifts = ((stride, 0), (0, -stride), (stride, stride))
    assert largest_change(model, side, shifts) < 1e-5
    assert largest_change(model, side, ((stride // 2, 0),)) > 1e-2
