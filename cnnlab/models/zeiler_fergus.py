"""The network of the stochastic pooling paper."""

from collections.abc import Callable

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from cnnlab.models.network import Network
from cnnlab.models.registry import models
from cnnlab.ops import local_response_norm


class ZeilerFergus(Network, kw_only=True):
    """Three 5x5 convolutions of 64 maps, each with ReLU and an overlapping pool.

    Attributes:
        lrn: whether response normalisation follows each pool.
    """

    num_classes: int = 10
    pool: str | Callable = "stochastic_pool"
    lrn: bool = False

    image_shape = (28, 28, 1)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch classes"]:
        for _ in range(3):
            x = self.conv(x, 64, 5)
            x = self.subsample(x, 3, 2, "SAME", train=train)
            x = local_response_norm(x) if self.lrn else x
        x = x.reshape(x.shape[0], -1)
        return nn.Dense(self.num_classes, dtype=self.dtype)(x)


@models.register
def zeiler_fergus(**options) -> ZeilerFergus:
    """The net of Zeiler and Fergus, 2013 (28-14-7-4): 216,842 parameters for 28x28x1.

    Three 5x5 convolutions of 64 maps, each with ReLU and a 3x3 pool at stride 2, and a
    softmax: "Stochastic pooling for regularization of deep convolutional neural
    networks", https://arxiv.org/abs/1301.3557, section 4. `lrn=True` adds the paper's
    response normalisation after each pool, with the constants of Krizhevsky et al.,
    2012, as it gives none. Weights start from LeCun's rule (a
    truncated normal distribution of variance 1 / fan-in), as the paper does not say
    how, biases from 0.
    """
    return ZeilerFergus(**options)
