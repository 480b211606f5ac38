"""LeNet-5 as it was in 1998, and the loss that it was trained with.

LeCun, Bottou, Bengio and Haffner, 1998, "Gradient-based learning applied to document
recognition", section II, https://doi.org/10.1109/5.726791.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.dtypes import promote_dtype
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from cnnlab.layers.subsampling import strided_pool
from cnnlab.models.lenet_1998_codes import digit_codes
from cnnlab.models.network import Network
from cnnlab.models.registry import models
from cnnlab.ops import conv

Map = Float[Array, "batch height width channels"]

# Table I: the maps of S2 that each map of C3 sees.
C3_TABLE = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5)),
    *((0, 1, 2, 5), (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)


def scaled_tanh(a: Array) -> Array:
    """A tanh(S a) with A = 1.7159 and S = 2/3, which maps +-1 to +-1 (equation 6)."""
    return 1.7159 * jnp.tanh(2 / 3 * a)


def by_fan_in(fan_in: int | Sequence[int]) -> nn.initializers.Initializer:
    """The initializer uniform within +-2.4 / fan-in (appendix A).

    Args:
        fan_in: a sequence has one for each entry of the last axis.
    """
    limit = 2.4 / np.asarray(fan_in, np.float32)

    def initial(key: Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32):
        return limit * jax.random.uniform(key, shape, dtype, -1, 1)

    return initial


class TableConv(nn.Module):
    """A convolution whose every map sees the maps that a table gives it.

    Its kernel has an axis for the connections of the table, row by row, and no weights
    where there are none.

    Attributes:
        table: for each map of the result, the maps that it sees.
    """

    table: Sequence[Sequence[int]]
    kernel_size: int
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Map) -> Map:
        pairs = [(i, o) for o, seen in enumerate(self.table) for i in seen]
        inputs, outputs = (np.array(ends) for ends in zip(*pairs, strict=True))
        size = self.kernel_size
        fan_in = np.array([size**2 * len(seen) for seen in self.table])
        window = size, size
        kernel = self.param(
            "kernel", by_fan_in(fan_in[outputs]), (*window, len(pairs)), jnp.float32
        )
        bias = self.param("bias", by_fan_in(fan_in), fan_in.shape, jnp.float32)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        full = jnp.zeros((*window, x.shape[-1], len(self.table)), kernel.dtype)
        full = full.at[..., inputs, outputs].set(kernel, unique_indices=True)
        return conv(x, full, 1, "VALID") + bias


class Subsampling(nn.Module):
    """A 2x2 pool, times a coefficient and plus a bias for each map, then squashed.

    Attributes:
        pool: None adds the four entries up, as the paper does.
        options: those of `layers.subsampling.strided_pool`.
    """

    pool: str | Callable | None
    downsample: str | Callable | None = None
    boundary: str = "zero"
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        pooled = strided_pool(
            x,
            "avg_pool" if self.pool is None else self.pool,
            2,
            2,
            downsample=self.downsample,
            boundary=self.boundary,
            train=train,
        )
        if self.pool is None:
            pooled = 4 * pooled
        initial, shape = by_fan_in(4), x.shape[-1:]
        coefficient = self.param("coefficient", initial, shape, jnp.float32)
        bias = self.param("bias", initial, shape, jnp.float32)
        pooled, coefficient, bias = promote_dtype(
            pooled, coefficient, bias, dtype=self.dtype
        )
        return scaled_tanh(coefficient * pooled + bias)


class LeNet1998(Network, kw_only=True):
    """The layers C1 to F6 of figure 2, and radial basis functions on top.

    Attributes:
        pool: None is the paper's subsampling, a sum. Another pool takes the place of
            the sum; coefficient, bias and squashing follow it all the same.
    """

    num_classes: int = 10
    pool: str | Callable | None = None

    image_shape = (32, 32, 1)
    subsamples_without_pool = True

    def __post_init__(self):
        super().__post_init__()
        if self.num_classes > len(digit_codes()):
            raise ValueError(
                f"num_classes {self.num_classes} must be 1 to {len(digit_codes())}: "
                "the output units have codes for ten digits"
            )

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Float[Array, "batch classes"]:
        if x.shape[1:3] != self.image_shape[:2]:
            raise ValueError(
                f"this network takes images of 32x32 (28x28 ones padded by 2 on each "
                f"side), got {x.shape[1]}x{x.shape[2]}"
            )

        def full_conv(x, features, name):
            initial = by_fan_in(25 * x.shape[-1])
            return self.conv(
                x,
                features,
                5,
                padding="VALID",
                then=scaled_tanh,
                kernel_init=initial,
                bias_init=initial,
                name=name,
            )

        def subsample(x, name):
            layer = Subsampling(
                self.pool, self.downsample, self.boundary, self.dtype, name=name
            )
            return layer(x, train=train)

        x = subsample(full_conv(x, 6, "C1"), "S2")
        x = scaled_tanh(TableConv(C3_TABLE, 5, self.dtype, name="C3")(x))
        x = full_conv(subsample(x, "S4"), 120, "C5")[:, 0, 0]
        initial = by_fan_in(x.shape[-1])
        options = {"kernel_init": initial, "bias_init": initial, "dtype": self.dtype}
        x = scaled_tanh(nn.Dense(84, name="F6", **options)(x))
        return -squared_distances(x, digit_codes()[: self.num_classes])


def squared_distances(
    x: Float[Array, "*batch features"], codes: Float[np.ndarray, "classes features"]
) -> Float[Array, "*batch classes"]:
    """The squared Euclidean distance from every code (equation 7)."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    differences = x[..., None, :].astype(wide) - codes
    return jnp.square(differences).sum(-1).astype(x.dtype)


def lenet5_1998_loss(
    scores: Float[Array, "batch classes"], labels: Int[Array, " batch"], *, j: float
) -> Float[Array, ""]:
    """The mean of y_label + log(e^-j + sum of e^-y_i), y = -scores (equation 9).

    Args:
        j: positive. Penalties of other classes that are well above it are not pushed
            up any further. The paper gives no value; as it grows, the loss becomes the
            cross-entropy that `train_step` takes.
    """
    rest = jnp.full((*scores.shape[:-1], 1), -j, scores.dtype)
    total = jax.nn.logsumexp(jnp.concatenate([scores, rest], -1), -1)
    of_label = jnp.take_along_axis(scores, labels[:, None], -1, mode="clip")[:, 0]
    return (total - of_label).mean()


@models.register
def lenet5_1998(**options) -> LeNet1998:
    """LeNet-5 for 32x32 images (32-28-14-10-5-1): 60,000 parameters for one channel.

    LeCun et al., 1998, figure 2, with 340,908 connections: maps of C3 see the maps of
    S2 that table I says, S2 and S4 are sums with a trained coefficient and bias for
    each map, everything is squashed by a scaled tanh, and a class's score is minus its
    penalty, the squared distance of F6 from the class's bitmap, which is not trained.
    C3 is computed, and counted in multiply-accumulates, as if every map saw all six.
    The bitmaps are those of the ten digits in figure 3, after a public transcription.
    Weights, coefficients and biases start from a uniform distribution within
    +-2.4 / fan-in; a bias does not count as an input. `lenet5_1998_loss` is the paper's
    loss. Squared distances have large gradients: a learning rate that suits `lenet5` is
    too high.
    """
    return LeNet1998(**options)
