"""Thin Flax Linen shells over `cnnlab.ops`: parameters, rng streams, the train flag."""

from cnnlab.layers.conv import Conv
from cnnlab.layers.conv_transpose import ConvTranspose
from cnnlab.layers.pool import Pool
from cnnlab.layers.residual import BasicBlock, BottleneckBlock
from cnnlab.layers.separable_conv import DepthwiseConv, SeparableConv

__all__ = [
    "BasicBlock",
    "BottleneckBlock",
    "Conv",
    "ConvTranspose",
    "DepthwiseConv",
    "Pool",
    "SeparableConv",
]
