"""What PyTorch's files call the layers of residual networks."""

from collections.abc import Iterator, Sequence

from cnnlab.models.torch_names import TorchNames, part_of


def torchvision_names(
    stages: Sequence[int], bottleneck: bool, scan: bool
) -> TorchNames:
    """Torchvision's names, and timm's, of the layers of v1 and v1.5.

    Args:
        stages: how many blocks each has.
        scan: whether the blocks of a stage after its first one are stacked.
    """
    parts = {}
    for i in range(3 if bottleneck else 2):
        parts |= {f"Conv_{i}": f"conv{i + 1}", f"BatchNorm_{i}": f"bn{i + 1}"}
    parts |= {"projection": "downsample.0", "projection_norm": "downsample.1"}
    blocks = _blocks("layer{stage}.{block}", 1, stages, scan)
    kind = "BottleneckBlock" if bottleneck else "BasicBlock"
    return {
        **{"Conv_0": "conv1", "BatchNorm_0": "bn1"},
        **_parts_of_blocks(kind, blocks, parts),
        "Dense_0": "fc",
    }


def timm_names(stages: Sequence[int], bottleneck: bool, scan: bool) -> TorchNames:
    """Timm's names of the layers of v2, its `resnetv2_50` and the like.

    Its `resnetv2_50x1_bit` and others of the Big Transfer have the same names, and
    another normalisation, so that their files lack the statistics.

    Args:
        stages, scan: as for `torchvision_names`.
    """
    parts = {}
    for i in range(3 if bottleneck else 2):
        parts |= {f"BatchNorm_{i}": f"norm{i + 1}", f"Conv_{i}": f"conv{i + 1}"}
    parts |= {"projection": "downsample.conv"}
    blocks = _blocks("stages.{stage}.blocks.{block}", 0, stages, scan)
    kind = "PreactivationBottleneck" if bottleneck else "PreactivationBlock"
    return {
        "Conv_0": "stem.conv",
        **_parts_of_blocks(kind, blocks, parts),
        **{"BatchNorm_0": "norm", "Dense_0": "head.fc"},
    }


def _blocks(
    form: str, first: int, stages: Sequence[int], scan: bool
) -> Iterator[str | list[str]]:
    """Of each of our blocks in turn its name there, or those that it stacks."""
    for stage, count in enumerate(stages, start=first):
        names = [form.format(stage=stage, block=block) for block in range(count)]
        yield from (names[0], names[1:]) if scan else names


def _parts_of_blocks(kind: str, blocks, parts: dict[str, str]) -> TorchNames:
    return {
        f"{kind}_{i}/{ours}": part_of(block, theirs)
        for i, block in enumerate(blocks)
        for ours, theirs in parts.items()
    }
