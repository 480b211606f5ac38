"""Thin Flax Linen shells over `cnnlab.ops`: parameters, rng streams, the train flag."""

from cnnlab.layers.batch_norm import BatchNorm
from cnnlab.layers.conv import Conv
from cnnlab.layers.conv_transpose import ConvTranspose
from cnnlab.layers.pool import Pool
from cnnlab.layers.preactivation import (
    PreactivationBlock,
    PreactivationBottleneck,
)
from cnnlab.layers.residual import BasicBlock, BottleneckBlock
from cnnlab.layers.separable_conv import DepthwiseConv, SeparableConv

__all__ = [
    "BasicBlock",
    "BatchNorm",
    "BottleneckBlock",
    "Conv",
    "ConvTranspose",
    "DepthwiseConv",
    "Pool",
    "PreactivationBlock",
    "PreactivationBottleneck",
    "SeparableConv",
]
