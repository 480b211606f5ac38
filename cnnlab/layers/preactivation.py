"""Residual blocks that normalise and activate before they convolve.

Source: He, Zhang, Ren and Sun, 2016, "Identity mappings in deep residual networks",
https://arxiv.org/abs/1603.05027, figure 1 (b). A shortcut that fits is the identity;
any other one starts from the activated map, and has no normalisation of its own.
Subsampling, `pool` and `downsample` are as in `layers.residual`.
"""

import flax.linen as nn

from cnnlab.layers.residual import (
    Map,
    ResidualBlock,
    conv_strides,
    layers_of,
    shortcut_of,
    thin_both,
)


class PreactivationBlock(ResidualBlock):
    """Two 3x3 convolutions around a shortcut."""

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        conv, norm = layers_of(self, train)
        active = nn.relu(norm()(x))
        y = conv(self.features, 3, conv_strides(self), 1)(active)
        y, active = thin_both(self, nn.relu(norm()(y)), active, train)
        y = conv(self.features, 3, padding=1)(y)
        return y + _shortcut(self, x, active, self.features, conv)


class PreactivationBottleneck(ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions around a shortcut; the 3x3 one has the strides.

    It gives `4 * features` channels.
    """

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        conv, norm = layers_of(self, train)
        active = nn.relu(norm()(x))
        y = nn.relu(norm()(conv(self.features, 1)(active)))
        y = conv(self.features, 3, conv_strides(self), 1)(y)
        y, active = thin_both(self, nn.relu(norm()(y)), active, train)
        y = conv(4 * self.features, 1)(y)
        return y + _shortcut(self, x, active, 4 * self.features, conv)


def _shortcut(block, x, active, features, conv):
    fits = block.strides == 1 and x.shape[-1] == features
    return x if fits else shortcut_of(block, active, features, conv)
