"""Residual blocks that normalise and activate before they convolve.

Source: He, Zhang, Ren and Sun, 2016, "Identity mappings in deep residual networks",
https://arxiv.org/abs/1603.05027, figure 1 (b). A shortcut that fits is the identity;
any other one starts from the activated map, and has no normalisation of its own.
Subsampling, `pool` and `downsample` are as in `layers.residual`.
"""

import flax.linen as nn

from cnnlab.layers.residual import Map, ResidualBlock


class PreactivationBlock(ResidualBlock):
    """Two 3x3 convolutions around a shortcut."""

    normalizes_projections = False

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        active = nn.relu(self.norm(train)(x))
        y = self.conv(self.features, 3, self.conv_strides, 1)(active)
        y, active = self.thin_both(nn.relu(self.norm(train)(y)), active, train)
        y = self.conv(self.features, 3, padding=1)(y)
        return self.add_shortcut(y, x, active, train)


class PreactivationBottleneck(ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions around a shortcut; the 3x3 one has the strides.

    It gives `4 * features` channels.
    """

    normalizes_projections = False

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        active = nn.relu(self.norm(train)(x))
        y = nn.relu(self.norm(train)(self.conv(self.features, 1)(active)))
        y = self.conv(self.features, 3, self.conv_strides, 1)(y)
        y, active = self.thin_both(nn.relu(self.norm(train)(y)), active, train)
        y = self.conv(4 * self.features, 1)(y)
        return self.add_shortcut(y, x, active, train)
