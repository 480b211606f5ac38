"""Inception modules, and the heads among them.

Source: Szegedy et al., 2014, "Going deeper with convolutions",
https://arxiv.org/abs/1409.4842
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

Map = Float[Array, "batch height width channels"]


class Widths(NamedTuple):
    """The maps of an inception module's convolutions, a row of table 1."""

    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    projection: int


class Inception(nn.Module):
    """Four branches on one map, side by side: 1x1, 3x3, 5x5, and a pool (figure 2b).

    Layers are named as the columns of table 1.

    Attributes:
        five_size: of the window of the "5x5" branch.
        conv: `(x, features, size, name=)`, with a ReLU.
        pool: `(x, window_shape, strides, padding)`.
    """

    widths: Widths
    five_size: int
    conv: Callable
    pool: Callable

    @nn.compact
    def __call__(self, x: Map) -> Map:
        conv, widths = self.conv, self.widths
        three = conv(x, widths.three_reduce, 1, name="3x3_reduce")
        five = conv(x, widths.five_reduce, 1, name="5x5_reduce")
        branches = (
            conv(x, widths.one, 1, name="1x1"),
            conv(three, widths.three, 3, name="3x3"),
            conv(five, widths.five, self.five_size, name="5x5"),
            conv(self.pool(x, 3, 1, 1), widths.projection, 1, name="pool_proj"),
        )
        return jnp.concatenate(branches, -1)


class AuxiliaryHead(nn.Module):
    """Scores of a map in the middle of the network (section 5).

    Attributes:
        conv: as in `Inception`.
        dense: `(features, name=)`, a layer.
        average: what makes the map small, 4x4 in the paper.
    """

    num_classes: int
    conv: Callable
    dense: Callable
    average: Callable

    @nn.compact
    def __call__(self, x: Map, *, train: bool) -> Float[Array, "batch classes"]:
        x = self.conv(self.average(x), 128, 1, name="reduce")
        x = nn.relu(self.dense(1024, name="hidden")(x.reshape(x.shape[0], -1)))
        x = nn.Dropout(0.7, deterministic=not train)(x)
        return self.dense(self.num_classes, name="scores")(x)
