"""What is known of every registered model beforehand: a table for the tests.

A model that is not here fails tests by its name.
"""

import dataclasses
import re
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
    return Expected(parameters, {"Conv_0": 32} | sides, 16)


def _resnet(parameters: int, depth: int, *, cifar: bool = False) -> Expected:
    block = "BottleneckBlock" if depth > 34 else "BasicBlock"
    return Expected(parameters, _stages(block, depth, 32 if cifar else 56), 64)


def _resnet_v2(parameters: int, depth: int) -> Expected:
    block = "PreactivationBottleneck" if depth > 34 else "PreactivationBlock"
    return Expected(parameters, _stages(block, depth, 56), 64)


def _stages(block: str, depth: int, side: int) -> dict[str, int]:
    """The sides after a stem that gives `side`; each stage but the first halves it."""
    stages = {
        **{18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)},
        **{101: (3, 4, 23, 3), 152: (3, 8, 36, 3)},
    }[depth]
    sides = [side // 2**stage for stage, n in enumerate(stages) for _ in range(n)]
    stem = {"Conv_0": 112, "Pool_0": 56} if side == 56 else {"Conv_0": 32}
    return stem | {f"{block}_{i}": side for i, side in enumerate(sides)}


def _alexnet(parameters: int, tiny_side: int) -> Expected:
    sides = {"Conv_0": 55, "Pool_0": 27, "Conv_1": 27, "Pool_1": 13}
    sides |= {"Conv_2": 13, "Conv_3": 13, "Conv_4": 13, "Pool_2": 6}
    return Expected(parameters, sides, tiny_side)


def _vgg(parameters: int, convolutions: tuple[int, ...]) -> Expected:
    sides = (224, 112, 56, 28, 14)
    of_convolutions = (
        side for side, n in zip(sides, convolutions, strict=True) for _ in range(n)
    )
    return Expected(
        parameters,
        {f"Conv_{i}": side for i, side in enumerate(of_convolutions)}
        | {f"Pool_{i}": side // 2 for i, side in enumerate(sides)},
        32,
    )


def _nin(parameters: int, sides: tuple[int, ...], tiny_side: int) -> Expected:
    of_convolutions = {f"Conv_{i}": sides[i // 3] for i in range(3 * len(sides))}
    of_pools = {f"Pool_{i}": side for i, side in enumerate(sides[1:])}
    return Expected(parameters, of_convolutions | of_pools, tiny_side)


def _all_cnn(parameters: int, stage: int, *, pool: bool) -> Expected:
    """A net of two stages with so many convolutions each."""
    sides = (32,) * stage + (16,) * stage + (6,) * 3
    sides = {f"Conv_{i}": side for i, side in enumerate(sides)}
    if pool:
        return Expected(parameters, sides | {"Pool_0": 16, "Pool_1": 8}, 12)
    halved = {f"Conv_{stage - 1}": 16, f"Conv_{2 * stage - 1}": 8}
    return Expected(parameters, sides | halved, 12)


def _googlenet(parameters: int, tiny_side: int) -> Expected:
    sides = {"conv1": 112, "Pool_0": 56, "conv2_reduce": 56, "conv2": 56}
    sides |= {"Pool_1": 28, "inception_3a": 28, "inception_3b": 28, "Pool_2": 14}
    sides |= {f"inception_4{letter}": 14 for letter in "abcde"}
    sides |= {"Pool_3": 7, "inception_5a": 7, "inception_5b": 7}
    return Expected(parameters, sides, tiny_side)


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
    "resnet18": _resnet(11_689_512, 18),
    "resnet34": _resnet(21_797_672, 34),
    "resnet50": _resnet(25_557_032, 50),
    "resnet101": _resnet(44_549_160, 101),
    "resnet152": _resnet(60_192_808, 152),
    "resnet18_v1": _resnet(11_689_512, 18),
    "resnet34_v1": _resnet(21_797_672, 34),
    "resnet50_v1": _resnet(25_557_032, 50),
    "resnet101_v1": _resnet(44_549_160, 101),
    "resnet152_v1": _resnet(60_192_808, 152),
    "resnet18_v2": _resnet_v2(11_687_720, 18),
    "resnet34_v2": _resnet_v2(21_795_880, 34),
    "resnet50_v2": _resnet_v2(25_549_352, 50),
    "resnet101_v2": _resnet_v2(44_541_480, 101),
    "resnet152_v2": _resnet_v2(60_185_128, 152),
    "cifar_resnet18": _resnet(11_173_962, 18, cifar=True),
    "cifar_resnet50": _resnet(23_520_842, 50, cifar=True),
    "alexnet": _alexnet(61_100_840, 63),
    "alexnet_2012": _alexnet(60_965_224, 67),
    "zfnet": Expected(
        62_357_608,
        {
            **{"Conv_0": 110, "Pool_0": 55, "Conv_1": 26, "Pool_1": 13},
            **{"Conv_2": 13, "Conv_3": 13, "Conv_4": 13, "Pool_2": 6},
        },
        53,
    ),
    "vgg11": _vgg(132_863_336, (1, 1, 2, 2, 2)),
    "vgg13": _vgg(133_047_848, (2, 2, 2, 2, 2)),
    "vgg16": _vgg(138_357_544, (2, 2, 3, 3, 3)),
    "vgg19": _vgg(143_667_240, (2, 2, 4, 4, 4)),
    "vgg11_bn": _vgg(132_868_840, (1, 1, 2, 2, 2)),
    "vgg13_bn": _vgg(133_053_736, (2, 2, 2, 2, 2)),
    "vgg16_bn": _vgg(138_365_992, (2, 2, 3, 3, 3)),
    "vgg19_bn": _vgg(143_678_248, (2, 2, 4, 4, 4)),
    "lenet5_1998": Expected(
        60_000, {"C1": 28, "S2": 14, "C3": 10, "S4": 5, "C5": 1}, 32
    ),
    "nin_cifar10": _nin(966_986, (32, 16, 8), 8),
    "nin_imagenet": _nin(7_595_176, (54, 27, 13, 6), 43),
    "base_a": _all_cnn(839_242, 1, pool=True),
    "base_b": _all_cnn(885_610, 2, pool=True),
    "base_c": _all_cnn(954_730, 2, pool=True),
    "strided_a": _all_cnn(839_242, 1, pool=False),
    "strided_b": _all_cnn(885_610, 2, pool=False),
    "strided_c": _all_cnn(954_730, 2, pool=False),
    "conv_pool_a": _all_cnn(1_254_250, 2, pool=True),
    "conv_pool_b": _all_cnn(1_300_618, 3, pool=True),
    "conv_pool_c": _all_cnn(1_369_738, 3, pool=True),
    "all_cnn_a": _all_cnn(1_254_250, 2, pool=False),
    "all_cnn_b": _all_cnn(1_300_618, 3, pool=False),
    "all_cnn_c": _all_cnn(1_369_738, 3, pool=False),
    "red_green": Expected(
        65_506, {"Conv_0": 32, "Conv_1": 16, "Conv_2": 8, "Conv_3": 4}, 8
    ),
    # The heads average windows of 5x5 in the middle of the network.
    "googlenet": _googlenet(13_378_280, 80),
    "googlenet_bn": _googlenet(6_624_904, 64),
}


# Each takes ten seconds and more to compile, and long to trace.
SLOW_TO_COMPILE = {"cifar_resnet18", "googlenet_bn", "resnet18_v2"}


def all_but_the_deepest() -> list[str]:
    """Every name but ResNets with more of the blocks of 50 layers, long to trace."""
    deepest = re.compile(r"resnet(101|152)(_v[12])?")
    return [name for name in list_models() if not deepest.fullmatch(name)]


def smallest_of_each_family() -> list[str]:
    """One name for each class of networks: the member with the fewest parameters."""
    smallest = {}
    for name in list_models():
        family = type(create_model(name))
        weights = EXPECTED[name].parameters if name in EXPECTED else 0
        smallest.setdefault(family, []).append((weights, name))
    return sorted(min(members)[1] for members in smallest.values())
