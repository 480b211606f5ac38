"""The networks of the whole steps, once with our layers and once with stock Flax's."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from cnnlab import layers
from cnnlab.models import create_model

IMAGES = {
    "mnist_cnn_max": (28, 28, 1),
    "mnist_cnn_avg": (28, 28, 1),
    "resnet20": (32, 32, 3),
}


def ours(network: str) -> nn.Module:
    """The network of that name, with our convolutions and pools."""
    if network == "resnet20":
        return create_model("resnet20")
    pool = "max_pool" if network.endswith("max") else "avg_pool"
    return MnistCNN(layers.Conv, functools.partial(layers.Pool, pool))


def stock(network: str) -> nn.Module:
    """The same from `flax.linen` alone."""
    if network == "resnet20":
        return ResNet20()
    pool = nn.max_pool if network.endswith("max") else nn.avg_pool
    return MnistCNN(nn.Conv, lambda size: lambda x: pool(x, (size,) * 2, (size,) * 2))


class MnistCNN(nn.Module):
    """Flax's MNIST example: two 3x3 convolutions, each pooled, and two dense layers."""

    conv: Callable
    pool: Callable

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        for features in (32, 64):
            x = self.pool(2)(nn.relu(self.conv(features, (3, 3))(x)))
        x = nn.relu(nn.Dense(256)(x.reshape(len(x), -1)))
        return nn.Dense(10)(x)


class ResNet20(nn.Module):
    """Three stages of three basic blocks, with option A shortcuts."""

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        conv = functools.partial(nn.Conv, kernel_size=(3, 3), use_bias=False, padding=1)
        norm = functools.partial(nn.BatchNorm, not train, momentum=0.9)
        x = nn.relu(norm()(conv(16)(x)))
        for features in (16, 32, 64):
            for _ in range(3):
                more = features - x.shape[-1]
                strides = 2 if more else 1
                y = nn.relu(norm()(conv(features, strides=strides)(x)))
                y = norm()(conv(features)(y))
                widths = ((0, 0),) * 3 + ((more // 2, more - more // 2),)
                x = nn.relu(y + jnp.pad(x[:, ::strides, ::strides], widths))
        return nn.Dense(10)(x.mean((1, 2)))
