"""Residual blocks. Source: He, Zhang, Ren and Sun, 2015, https://arxiv.org/abs/1512.03385

Where a block subsamples (`strides` above 1), its convolution and its shortcut do, as in
the paper. With a `pool` the convolution has full size, and after its ReLU that pool
takes the strides, with windows as large; it does so on the shortcut too. `downsample`
is as in `layers.subsampling`: it takes the strides from the convolution, or from
`pool`, which then runs at stride 1. Parameters are the same in every case, but for a
pool's own weights.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from cnnlab.layers.batch_norm import BatchNorm
from cnnlab.layers.conv import Conv
from cnnlab.layers.pool import Pool
from cnnlab.layers.subsampling import check_thinned, resolve_downsample, thin
from cnnlab.ops import pools, windows
from cnnlab.ops.arguments import check_choice

Map = Float[Array, "*batch height width channels"]
SHORTCUTS = "projection", "pad"


class ResidualBlock(nn.Module):
    """What every residual block is told, and how it treats its two paths.

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

    normalizes_projections = True

    def __post_init__(self):
        super().__post_init__()
        check_choice("shortcut", self.shortcut, SHORTCUTS)
        if self.pool is not None:
            pools.resolve(self.pool)
        if self.downsample is not None:
            resolve_downsample(self.downsample)
        check_choice("boundary", self.boundary, windows.BOUNDARIES)

    @property
    def conv_strides(self) -> int:
        """The strides that the block's convolutions take themselves."""
        return self.strides if self.pool is None and self.downsample is None else 1

    def conv(
        self,
        features: int,
        kernel_size: int,
        strides: int = 1,
        padding: int = 0,
        name: str | None = None,
    ) -> Conv:
        """One of the block's convolutions."""
        return Conv(
            features,
            kernel_size,
            strides,
            padding,
            use_bias=False,
            boundary=self.boundary,
            dtype=self.dtype,
            kernel_init=nn.initializers.he_normal(),
            name=name,
        )

    def norm(self, train: bool, name: str | None = None) -> BatchNorm:
        """One of the block's normalisations."""
        return BatchNorm(not train, dtype=self.dtype, name=name)

    def thin_both(self, y: Map, x: Map, train: bool) -> tuple[Map, Map]:
        """Branch and shortcut, thinned by what is not the convolutions' strides."""
        if self.strides == 1 or self.conv_strides > 1:
            return y, x
        if self.pool is not None and self.downsample is not None:
            y, x = (self._dense_pool()(path, train=train) for path in (y, x))
        thinned = thin(
            y,
            x,
            strides=self.strides,
            downsample=self.pool if self.downsample is None else self.downsample,
            boundary=self.boundary,
            train=train,
        )
        if self.downsample is not None:
            check_thinned(y, thinned[0], self.strides, self.downsample)
        return thinned

    def _dense_pool(self) -> Pool:
        window = self.strides
        padding = ((window - 1) // 2, window // 2)
        return Pool(self.pool, window, 1, (padding,) * 2, boundary=self.boundary)

    def add_shortcut(self, y: Map, x: Map, start: Map, train: bool) -> Map:
        """The branch `y` plus `x`, or plus `start` made to fit where `x` does not.

        Args:
            start: thinned as the branch is.
        """
        features = y.shape[-1]
        if self.strides == 1 and x.shape[-1] == features:
            return y + x
        if self.shortcut == "pad":
            return y + _with_zero_channels(
                thin(start, strides=self.conv_strides), features
            )
        projection = self.conv(features, 1, self.conv_strides, name="projection")
        shortcut = projection(start)
        if self.normalizes_projections:
            shortcut = self.norm(train, name="projection_norm")(shortcut)
        return y + shortcut


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions around a shortcut (figure 5, left)."""

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        y = self.conv(self.features, 3, self.conv_strides, 1)(x)
        y, x = self.thin_both(nn.relu(self.norm(train)(y)), x, train)
        y = self.norm(train)(self.conv(self.features, 3, padding=1)(y))
        return nn.relu(self.add_shortcut(y, x, x, train))


class BottleneckBlock(ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions around a shortcut (figure 5, right).

    It gives `4 * features` channels.

    Attributes:
        subsampling_conv: which convolution has the strides: 0 for the first 1x1, as in
            the paper, 1 for the 3x3, as in torchvision ("v1.5").
    """

    subsampling_conv: int = 1

    def __post_init__(self):
        super().__post_init__()
        if self.subsampling_conv not in (0, 1):
            raise ValueError(
                f"subsampling_conv {self.subsampling_conv!r} must be 0, for the first "
                "1x1 convolution, or 1, for the 3x3"
            )

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        y = x
        for i, (size, padding) in enumerate(((1, 0), (3, 1))):
            here = self.subsampling_conv == i
            strides = self.conv_strides if here else 1
            y = self.conv(self.features, size, strides, padding)(y)
            y = nn.relu(self.norm(train)(y))
            if here:
                y, x = self.thin_both(y, x, train)
        y = self.norm(train)(self.conv(4 * self.features, 1)(y))
        return nn.relu(self.add_shortcut(y, x, x, train))


def _with_zero_channels(x: Map, features: int) -> Map:
    more = features - x.shape[-1]
    if more < 0:
        raise ValueError(
            f"shortcut 'pad' cannot make {features} channels of {x.shape[-1]}"
        )
    widths = ((0, 0),) * (x.ndim - 1) + ((more // 2, more - more // 2),)
    return jnp.pad(x, widths)
