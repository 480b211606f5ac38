"""What is known of every registered model beforehand: a table for the tests.

A model that is not here fails tests by its name.
"""

import dataclasses
from collections.abc import Mapping

from cnnlab.models import create_model, list_models


@dataclasses.dataclass(frozen=True)
class Expected:
    """A model on the images of its paper.

    Attributes:
        parameters: how many it has, for the paper's images and classes.
        sides: of the maps that its layers give, by the layers' paths.
        tiny_side: of the smallest images that it is tried on.
    """

    parameters: int
    sides: Mapping[str, int]
    tiny_side: int


def _cifar_resnet(parameters: int, blocks_per_stage: int) -> Expected:
    sides = {
        f"BasicBlock_{stage * blocks_per_stage + block}": side
        for stage, side in enumerate((32, 16, 8))
        for block in range(blocks_per_stage)
    }
    return Expected(parameters, {"Conv_0": 32} | sides, 8)


# Those in a loop keep the names of the first blocks of their stages.
LOOPED = {"Conv_0": 32, "BasicBlock_0": 32, "BasicBlock_2": 16, "BasicBlock_4": 8}

EXPECTED = {
    "lenet5": Expected(
        61_706, {"Conv_0": 28, "Pool_0": 14, "Conv_1": 10, "Pool_1": 5}, 16
    ),
    "zeiler_fergus": Expected(
        216_842,
        {
            **{"Conv_0": 28, "Pool_0": 14, "Conv_1": 14, "Pool_1": 7},
            **{"Conv_2": 7, "Pool_2": 4},
        },
        16,
    ),
    "resnet20": _cifar_resnet(269_722, 3),
    "resnet32": _cifar_resnet(464_154, 5),
    "resnet44": _cifar_resnet(658_586, 7),
    "resnet56": _cifar_resnet(853_018, 9),
    "resnet110": Expected(1_727_962, LOOPED, 8),
    "resnet1202": Expected(19_421_274, LOOPED, 8),
}


def smallest_of_each_family() -> list[str]:
    """One name for each class of networks: the member with the fewest parameters."""
    smallest = {}
    for name in list_models():
        family = type(create_model(name))
        weights = EXPECTED[name].parameters if name in EXPECTED else 0
        smallest.setdefault(family, []).append((weights, name))
    return sorted(min(members)[1] for members in smallest.values())
