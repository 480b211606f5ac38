"""Residual blocks. Source: He, Zhang, Ren and Sun, 2015, https://arxiv.org/abs/1512.03385

Where a block subsamples (`strides` above 1), `pool=None` strides the convolution, as
the paper does. Any other `pool` convolves at full size and pools after the ReLU, and
pools the shortcut alike. Parameters are the same either way.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from cnnlab.layers.batch_norm import BatchNorm
from cnnlab.layers.conv import Conv
from cnnlab.layers.pool import Pool
from cnnlab.ops import pools

Map = Float[Array, "*batch height width channels"]
SHORTCUTS = "projection", "pad"


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (figure 5, left).

    Attributes:
        shortcut: where sizes differ, "pad" subsamples and appends zero channels (option
            A, without parameters), "projection" is a 1x1 convolution (option B).
    """

    features: int
    strides: int = 1
    shortcut: str = "projection"
    pool: str | Callable | None = None
    boundary: str = "zero"
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        conv, norm, subsample = _parts(self, train)
        y = nn.relu(norm()(conv(self.features, 3, padding=1, **_stride(self))(x)))
        y = norm()(conv(self.features, 3, padding=1)(subsample(y)))
        return nn.relu(y + _shortcut(self, x, self.features, train))


class BottleneckBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut (figure 5, right).

    The 3x3 convolution subsamples, as in torchvision's ResNet v1.5; the paper's first
    1x1 does. The block gives `4 * features` channels.

    Attributes:
        shortcut: as in `BasicBlock`.
    """

    features: int
    strides: int = 1
    shortcut: str = "projection"
    pool: str | Callable | None = None
    boundary: str = "zero"
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        conv, norm, subsample = _parts(self, train)
        y = nn.relu(norm()(conv(self.features, 1)(x)))
        y = nn.relu(norm()(conv(self.features, 3, padding=1, **_stride(self))(y)))
        y = norm()(conv(4 * self.features, 1)(subsample(y)))
        return nn.relu(y + _shortcut(self, x, 4 * self.features, train))


def _parts(block: nn.Module, train: bool):
    """The block's convolution, its normalisation, and its pool where it has one."""
    # Even where the block needs neither: another one of the net will.
    if block.shortcut not in SHORTCUTS:
        raise ValueError(
            f"unknown shortcut {block.shortcut!r}; choose from {', '.join(SHORTCUTS)}"
        )
    if block.pool is not None:
        pools.resolve(block.pool)
    conv = functools.partial(
        Conv,
        use_bias=False,
        boundary=block.boundary,
        dtype=block.dtype,
        kernel_init=nn.initializers.he_normal(),
    )
    norm = functools.partial(
        BatchNorm, use_running_average=not train, dtype=block.dtype
    )

    def subsample(x):
        if block.pool is None or block.strides == 1:
            return x
        return Pool(block.pool, block.strides, boundary=block.boundary)(x, train=train)

    return conv, norm, subsample


def _stride(block: nn.Module) -> dict[str, int]:
    return {"strides": block.strides if block.pool is None else 1}


def _shortcut(block: nn.Module, x: Map, features: int, train: bool) -> Map:
    if block.strides == 1 and x.shape[-1] == features:
        return x
    conv, norm, subsample = _parts(block, train)
    x = subsample(x)
    if block.shortcut == "projection":
        x = conv(features, 1, padding="VALID", name="projection", **_stride(block))(x)
        return norm(name="projection_norm")(x)
    if block.pool is None:
        x = x[..., :: block.strides, :: block.strides, :]
    more = features - x.shape[-1]
    if more < 0:
        raise ValueError(
            f"shortcut 'pad' cannot make {features} channels of {x.shape[-1]}"
        )
    widths = ((0, 0),) * (x.ndim - 1) + ((more // 2, more - more // 2),)
    return jnp.pad(x, widths)
