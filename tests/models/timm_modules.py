"""timm's pre-activation networks, with its names, layers and forward pass.

Written from its documented architecture, for comparison alone; importing it needs
PyTorch. `num_classes` and widths are as published.
"""

import torch.nn.functional as F
from torch import nn


def _conv(inputs, outputs, size, stride=1):
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


class _Projection(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv = _conv(inputs, outputs, 1, stride)

    def forward(self, x):
        return self.conv(x)


class Block(nn.Module):
    """Normalised and activated before each of the convolutions, of these sizes."""

    sizes = 3, 3
    expansion = 1
    # Which convolution has the strides.
    strided = 0

    def __init__(self, inputs, width, stride):
        super().__init__()
        outputs, given = width * self.expansion, inputs
        for i, size in enumerate(self.sizes):
            last = i == len(self.sizes) - 1
            made = outputs if last else width
            setattr(self, f"norm{i + 1}", nn.BatchNorm2d(given))
            here = stride if i == self.strided else 1
            setattr(self, f"conv{i + 1}", _conv(given, made, size, here))
            given = made
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = _Projection(inputs, outputs, stride)

    def forward(self, x):
        y = active = F.relu(self.norm1(x))
        for i in range(1, len(self.sizes) + 1):
            y = y if i == 1 else F.relu(getattr(self, f"norm{i}")(y))
            y = getattr(self, f"conv{i}")(y)
        return y + (x if self.downsample is None else self.downsample(active))


class Bottleneck(Block):
    sizes = 1, 3, 1
    expansion = 4
    strided = 1


class _Stage(nn.Module):
    def __init__(self, block, inputs, width, stride, count):
        super().__init__()
        blocks = [block(inputs, width, stride)]
        for _ in range(count - 1):
            blocks.append(block(width * block.expansion, width, 1))
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x):
        return self.blocks(x)


class _Head(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.fc = nn.Conv2d(inputs, 1000, 1)

    def forward(self, x):
        return self.fc(F.adaptive_avg_pool2d(x, 1)).flatten(1)


class ResNetV2(nn.Module):
    """`resnetv2_18` of `Block`, `resnetv2_50` of `Bottleneck`, by blocks a stage."""

    def __init__(self, block, blocks):
        super().__init__()
        self.stem = nn.Sequential()
        self.stem.add_module("conv", _conv(3, 64, 7, 2))
        self.stem.add_module("pool", nn.MaxPool2d(3, stride=2, padding=1))
        stages, inputs = [], 64
        for stage, count in enumerate(blocks):
            width = 64 * 2**stage
            stages.append(_Stage(block, inputs, width, 2 if stage else 1, count))
            inputs = width * block.expansion
        self.stages = nn.Sequential(*stages)
        self.norm = nn.BatchNorm2d(inputs)
        self.head = _Head(inputs)

    def forward(self, x):
        return self.head(F.relu(self.norm(self.stages(self.stem(x)))))
