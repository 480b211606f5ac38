"""Parameters: what is published, and the residual nets' in closed form.

`test_registered_models.py` holds every model to its number in `EXPECTED`.
"""

import math

import jax
import pytest
from expected_models import EXPECTED

from cnnlab.models import create_model


def parameters(name, image_shape=None, **options):
    model = create_model(name, **options)
    shape = image_shape or model.image_shape
    images = jax.ShapeDtypeStruct((1, *shape), "float32")
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))


# Of torchvision's models, the number that it states for their weights.
TORCHVISION = {
    "alexnet": 61_100_840,
    "vgg16": 138_357_544,
    "googlenet_bn": 6_624_904,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "resnet152": 60_192_808,
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_states_as_many(name):
    assert EXPECTED[name].parameters == TORCHVISION[name]


@pytest.mark.parametrize(
    "name, millions",
    [("cifar_resnet18", "11.174"), ("cifar_resnet50", "23.521")],
)
def test_tables_of_trained_nets_for_cifar_have_as_many(name, millions):
    assert f"{EXPECTED[name].parameters / 1e6:.3f}" == millions


@pytest.mark.parametrize(
    "name, millions",
    # Table 6 of He et al., 2015.
    [
        ("resnet20", "0.27"),
        ("resnet32", "0.46"),
        ("resnet44", "0.66"),
        ("resnet56", "0.85"),
        ("resnet110", "1.7"),
        ("resnet1202", "19.4"),
    ],
)
def test_the_papers_table_rounds_them(name, millions):
    digits = len(millions.partition(".")[2])
    assert f"{EXPECTED[name].parameters / 1e6:.{digits}f}" == millions


def test_vgg16_for_cifar_with_two_hidden_layers_of_512_and_without():
    small = {"num_classes": 10, "head_features": 512}
    with_them = parameters("vgg16_bn", (32, 32, 3), **small)
    assert with_them == 15_253_578
    assert with_them - 2 * (512 * 512 + 512) == 14_728_266


def test_the_lenet_of_tutorials_sees_three_channels():
    assert parameters("lenet5", (28, 28, 3)) == 62_006


def by_the_paper(n, shortcut):
    """The parameters of 6n + 2 layers (section 4.2): convolutions, norms, scores."""
    convolutions = 9 * (3 * 16 + 2 * n * 16 * 16)
    convolutions += 9 * (16 * 32 + (2 * n - 1) * 32 * 32)
    convolutions += 9 * (32 * 64 + (2 * n - 1) * 64 * 64)
    # A scale and a bias for each map of each convolution.
    norms = 2 * ((2 * n + 1) * 16 + 2 * n * 32 + 2 * n * 64)
    if shortcut == "projection":
        convolutions += 16 * 32 + 32 * 64
        norms += 2 * (32 + 64)
    return convolutions + norms + (64 + 1) * 10


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110, 1202])
def test_residual_nets_for_cifar_have_those_of_both_options(depth):
    name, n = f"resnet{depth}", (depth - 2) // 6
    assert EXPECTED[name].parameters == by_the_paper(n, "pad")
    projected = by_the_paper(n, "projection")
    assert parameters(name, shortcut="projection") == projected
    assert projected - by_the_paper(n, "pad") == 2_752


def test_a_loop_of_blocks_has_the_parameters_of_the_blocks():
    assert parameters("resnet110", scan=False) == parameters("resnet110", scan=True)


def test_published_numbers_of_residual_nets_for_cifar():
    assert by_the_paper(3, "pad") == 269_722
    assert by_the_paper(9, "pad") == 853_018
