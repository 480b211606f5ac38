"""Networks cost what is published of them, or what their definition gives by hand."""

import re

import jax
import pytest

from cnnlab import models
from cnnlab.diagnostics.cost import count


def of_model(name, image_shape=None, **options):
    """The cost of one image in evaluation."""
    model = models.create_model(name, **options)
    shape = image_shape or model.image_shape
    images = jax.ShapeDtypeStruct((1, *shape), "float32")
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    return count(model.apply, variables, images)


# Multiply-accumulates, and receptive field and stride of the last map, as they follow
# from the papers' tables; None where nobody gives it. Torchvision prints 4.089 thousand
# million for `resnet50`.
PUBLISHED = {
    "lenet5": (416_520, 16, 4),
    "alexnet": (714_188_480, 195, 32),
    "vgg16": (15_470_264_320, 212, 32),
    "all_cnn_c": (270_798_336, 27, 4),
    "resnet20": (40_551_040, 81, 4),
    "cifar_resnet18": (555_422_720, None, 8),
    "resnet18": (1_814_073_344, 435, 32),
    "resnet34": (3_663_761_408, None, 32),
    "resnet50_v1": (3_857_973_248, 483, 32),
    "resnet50": (4_089_184_256, 427, 32),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_nets_have_their_published_costs(name):
    macs, field, stride = PUBLISHED[name]
    table = of_model(name)
    last = table.last_map
    assert table.macs == macs
    assert last.stride == (stride, stride)
    assert field is None or last.receptive_field == (field, field)
    assert table.unused_parameters == 0


def stages(counts, first, other):
    """Blocks of stages, of which all but the first stage begin by halving the map."""
    blocks = (
        first if stage and not block else other
        for stage, blocks in enumerate(counts)
        for block in range(blocks)
    )
    return " ".join(blocks)


# Windows and strides on the way to the last map.
CHAINS = {
    "lenet5": "5 2/2 5 2/2",
    "alexnet": "11/4 3/2 5 3/2 3 3 3 3/2",
    "vgg16": "3 3 2/2 3 3 2/2 3 3 3 2/2 3 3 3 2/2 3 3 3 2/2",
    "all_cnn_c": "3 3 3/2 3 3 3/2 3 1 1",
    "resnet20": f"3 {stages((3, 3, 3), '3/2 3', '3 3')}",
    "resnet18": f"7/2 3/2 {stages((2, 2, 2, 2), '3/2 3', '3 3')}",
    "resnet50_v1": f"7/2 3/2 {stages((3, 4, 6, 3), '1/2 3 1', '1 3 1')}",
    "resnet50": f"7/2 3/2 {stages((3, 4, 6, 3), '1 3/2 1', '1 3 1')}",
}


@pytest.mark.parametrize("name", CHAINS)
def test_published_fields_are_those_of_their_windows(name):
    field, stride = 1, 1
    for layer in CHAINS[name].split():
        window, _, step = layer.partition("/")
        field += (int(window) - 1) * stride
        stride *= int(step or 1)
    assert (field, stride) == PUBLISHED[name][1:]


def test_vgg16_for_cifar_costs_its_body_and_one_dense_layer():
    """The net that has been common since, whose head is one layer of 512 features."""
    table = of_model("vgg16_bn", (32, 32, 3), num_classes=10, head_features=512)
    hidden = 2 * 512 * 512
    assert table.macs - hidden == 313_201_664
    # A forty-ninth of the places that images of 224x224 have.
    body = of_model("vgg16").macs - (25_088 + 4_096) * 4_096 - 4_096 * 1_000
    assert table.macs - hidden == body // 49 + 512 * 10


def test_all_cnn_c_would_cost_more_with_all_its_convolutions_padded():
    table, sides = of_model("all_cnn_c"), 8 * 8 - 6 * 6
    more = sides * (9 * 192 * 192 + 192 * 192 + 192 * 10)
    millions = [f"{macs / 1e6:.2f}" for macs in (table.macs, table.macs + more)]
    assert millions == ["270.80", "281.17"]


# Deeper ones have more of the same blocks.
DEEPER = re.compile(r"(vgg1[369]|resnet(32|34|44|56|110|101|152))")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in models.list_models() if not DEEPER.match(name)]
)
def test_every_model_is_known_throughout(name):
    table = of_model(name)
    variables = sum(row.parameters for row in table.rows) + table.unused_parameters
    assert table.parameters == variables > 0
    assert (table.unused_parameters > 0) == (name == "googlenet")  # auxiliary heads
    assert table.last_map is not None
    for row in table.rows:
        assert row.counted
        assert None not in row.receptive_field
        assert row.padding_share is not None


def residual_macs(depth, version):
    """By table 1 of He et al., 2015: products of every layer at 224x224."""
    stages, bottleneck = {
        18: ((2, 2, 2, 2), False),
        34: ((3, 4, 6, 3), False),
        50: ((3, 4, 6, 3), True),
    }[depth]
    total, channels = 112**2 * 7 * 7 * 3 * 64, 64
    for stage, blocks in enumerate(stages):
        width, side = 64 * 2**stage, 56 // 2**stage
        for block in range(blocks):
            before = side * 2 if stage and not block else side
            out = width * 4 if bottleneck else width
            if bottleneck:
                # The first 1x1 convolution runs where the map is still large in v1.5.
                first = before if version == "v1.5" else side
                total += first**2 * channels * width
                total += side**2 * (9 * width * width + width * out)
            else:
                total += side**2 * 9 * (channels * width + width * width)
            if channels != out:
                total += side**2 * channels * out
            channels = out
    return total + channels * 1000


@pytest.mark.parametrize(
    "name, depth, version",
    [
        ("resnet18", 18, "v1.5"),
        ("resnet34", 34, "v1.5"),
        ("resnet50", 50, "v1.5"),
        ("resnet50_v1", 50, "v1"),
    ],
)
def test_published_products_are_those_of_the_paper_s_table(name, depth, version):
    assert residual_macs(depth, version) == PUBLISHED[name][0]
