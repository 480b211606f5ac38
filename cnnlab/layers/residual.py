"""Residual blocks. Source: He, Zhang, Ren and Sun, 2015, https://arxiv.org/abs/1512.03385

Where a block subsamples (`strides` above 1), its convolution and its shortcut do, as in
the paper. With a `pool` the convolution has full size, and after its ReLU that pool
takes the strides, with windows as large; it does so on the shortcut too. `downsample`
is as in `layers.subsampling`: it takes the strides from the convolution, or from
`pool`, which then runs at stride 1. Parameters are the same in every case, but for a
pool's own weights.
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
from cnnlab.layers.subsampling import resolve_downsample, thin
from cnnlab.ops import pools

Map = Float[Array, "*batch height width channels"]
SHORTCUTS = "projection", "pad"


class ResidualBlock(nn.Module):
    """What every residual block is told.

    Attributes:
        shortcut: where sizes differ, "pad" subsamples and appends zero channels (option
            A, without parameters), "projection" is a 1x1 convolution (option B).
    """

    features: int
    strides: int = 1
    shortcut: str = "projection"
    pool: str | Callable | None = None
    downsample: str | Callable | None = None
    boundary: str = "zero"
    dtype: DTypeLike | None = None


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions around a shortcut (figure 5, left)."""

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        conv, norm = layers_of(self, train)
        y = conv(self.features, 3, padding=1, strides=conv_strides(self))(x)
        y, x = thin_both(self, nn.relu(norm()(y)), x, train)
        y = norm()(conv(self.features, 3, padding=1)(y))
        return nn.relu(y + shortcut_of(self, x, y.shape[-1], conv, norm))


class BottleneckBlock(ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions around a shortcut (figure 5, right).

    It gives `4 * features` channels.

    Attributes:
        subsampling_conv: which convolution has the strides: 0 for the first 1x1, as in
            the paper, 1 for the 3x3, as in torchvision ("v1.5").
    """

    subsampling_conv: int = 1

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        conv, norm = layers_of(self, train)
        if self.subsampling_conv not in (0, 1):
            raise ValueError(
                f"subsampling_conv {self.subsampling_conv!r} must be 0, for the first "
                "1x1 convolution, or 1, for the 3x3"
            )
        y = x
        for i, (size, padding) in enumerate(((1, 0), (3, 1))):
            here = self.subsampling_conv == i
            strides = conv_strides(self) if here else 1
            y = conv(self.features, size, padding=padding, strides=strides)(y)
            y = nn.relu(norm()(y))
            if here:
                y, x = thin_both(self, y, x, train)
        y = norm()(conv(4 * self.features, 1)(y))
        return nn.relu(y + shortcut_of(self, x, y.shape[-1], conv, norm))


def layers_of(block: ResidualBlock, train: bool):
    """The block's convolution and its normalisation, its attributes checked."""
    # Even where the block needs neither: another one of the net will.
    if block.shortcut not in SHORTCUTS:
        raise ValueError(
            f"unknown shortcut {block.shortcut!r}; choose from {', '.join(SHORTCUTS)}"
        )
    if block.pool is not None:
        pools.resolve(block.pool)
    if block.downsample is not None:
        resolve_downsample(block.downsample)
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
    return conv, norm


def conv_strides(block: ResidualBlock) -> int:
    """The strides that the block's convolutions take themselves."""
    return block.strides if block.pool is None and block.downsample is None else 1


def thin_both(block: ResidualBlock, y: Map, x: Map, train: bool) -> tuple[Map, Map]:
    """The branch and the shortcut, thinned by what is not the convolutions' strides."""
    if block.strides == 1 or conv_strides(block) > 1:
        return y, x
    if block.pool is not None and block.downsample is not None:
        window = block.strides
        padding = ((window - 1) // 2, window // 2)
        dense = functools.partial(
            Pool, block.pool, window, 1, (padding,) * 2, boundary=block.boundary
        )
        y, x = (dense()(y, train=train), dense()(x, train=train))
    return thin(
        y,
        x,
        strides=block.strides,
        downsample=block.pool if block.downsample is None else block.downsample,
        boundary=block.boundary,
        train=train,
    )


def shortcut_of(block: ResidualBlock, x: Map, features: int, conv, norm=None) -> Map:
    """What is added to the branch: the thinned input, made to fit where it does not."""
    strides = conv_strides(block)
    if block.strides == 1 and x.shape[-1] == features:
        return x
    if block.shortcut == "projection":
        x = conv(features, 1, strides, "VALID", name="projection")(x)
        return x if norm is None else norm(name="projection_norm")(x)
    x = thin(x, strides=strides)
    more = features - x.shape[-1]
    if more < 0:
        raise ValueError(
            f"shortcut 'pad' cannot make {features} channels of {x.shape[-1]}"
        )
    widths = ((0, 0),) * (x.ndim - 1) + ((more // 2, more - more // 2),)
    return jnp.pad(x, widths)
