"""Thin Flax Linen shells over `cnnlab.ops`: parameters, rng streams, the train flag."""

from cnnlab.layers.conv import Conv
from cnnlab.layers.pool import Pool
from cnnlab.layers.residual import BasicBlock, BottleneckBlock

__all__ = ["BasicBlock", "BottleneckBlock", "Conv", "Pool"]
