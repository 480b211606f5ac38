"""Weights start by the rule that each model's docstring states."""

import jax
import numpy as np
import pytest

from cnnlab.models import create_model, list_models
from cnnlab.models.network import options_of

# Deviations of kernels by their shape, the window first, then maps in and maps out.
RULES = {
    "He": lambda shape: np.sqrt(2 / np.prod(shape[:-1])),
    "LeCun": lambda shape: np.sqrt(1 / np.prod(shape[:-1])),
    "Glorot": lambda shape: np.sqrt(2 / (np.prod(shape[:-2]) * sum(shape[-2:]))),
    "0.01": lambda shape: 0.01,
}
# Of each family, the side of its images here, the rule of its convolutions, and that of
# its dense layers.
FAMILIES = {
    "lenet5": (16, "LeCun", "LeCun"),
    "zeiler_fergus": (8, "LeCun", "LeCun"),
    "alexnet": (63, "He", "He"),
    "zfnet": (53, "0.01", "0.01"),
    "vgg11_bn": (32, "Glorot", "Glorot"),
    "nin_cifar10": (8, "He", "He"),
    "base_a": (12, "He", "He"),
    "googlenet": (80, "He", "He"),
    "googlenet_bn": (64, "He", "He"),
    "red_green": (8, "LeCun", "LeCun"),
    "resnet20": (16, "He", "LeCun"),
    "resnet18": (32, "He", "LeCun"),
    "resnet18_v2": (32, "He", "LeCun"),
    "cifar_resnet18": (16, "He", "LeCun"),
}
# Their own tests have their bounds and biases.
ELSEWHERE = {"alexnet_2012", "lenet5_1998"}
QUICK = {"lenet5", "zeiler_fergus", "base_a", "resnet20"}


def beginning(name):
    """The first parameters by their paths, drawn without a forward pass."""
    model = create_model(name)
    if "head_features" in options_of(type(model)):
        model = model.clone(head_features=64)
    side, channels = FAMILIES[name][0], model.image_shape[-1]
    images = jax.ShapeDtypeStruct((1, side, side, channels), "float32")
    params = model.lazy_init(jax.random.key(0), images)["params"]
    flat = jax.tree_util.tree_leaves_with_path(params)
    return {
        tuple(part.key for part in path): np.asarray(leaf, np.float64)
        for path, leaf in flat
    }


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in FAMILIES
    ],
)
def test_kernels_have_the_deviation_of_the_rule_and_biases_their_constant(name):
    _, rule, of_dense = FAMILIES[name]
    params = beginning(name)
    kernels = {path: leaf for path, leaf in params.items() if path[-1] == "kernel"}
    scaled = []
    for path, kernel in kernels.items():
        deviation = RULES[of_dense if path[-2].startswith("Dense") else rule](
            kernel.shape
        )
        # Four deviations of what so many draws leave open.
        open_still = 4 / np.sqrt(kernel.size)
        assert abs(kernel.mean() / deviation) < open_still, path
        assert abs(kernel.std() / deviation - 1) < open_still, path
        scaled.append(kernel.ravel() / deviation)
    scaled = np.concatenate(scaled)
    assert abs(scaled.std() - 1) < 4 / np.sqrt(scaled.size)
    if rule == "Glorot":
        # A uniform distribution ends where it is as dense as in its middle.
        assert 0.99 * np.sqrt(3) < abs(scaled).max() <= np.sqrt(3) * (1 + 1e-6)
    else:
        assert abs(scaled).max() > 2
    for path, leaf in params.items():
        if path[-1] != "kernel":
            assert (leaf == (path[-1] == "scale")).all(), path


def test_every_family_is_told_how_it_starts():
    told = {type(create_model(name)) for name in {*FAMILIES, *ELSEWHERE}}
    assert told == {type(create_model(name)) for name in list_models()}
