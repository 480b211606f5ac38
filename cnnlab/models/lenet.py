"""LeNet-5 as it is built today."""

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from cnnlab.models.network import Network
from cnnlab.models.registry import models


class LeNet5(Network, kw_only=True):
    """Two 5x5 convolutions, each pooled 2x2, and three dense layers, with ReLUs."""

    num_classes: int = 10

    image_shape = (28, 28, 1)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch classes"]:
        for features, padding in ((6, "SAME"), (16, "VALID")):
            x = self.conv(x, features, 5, padding=padding)
            x = self.subsample(x, 2, 2, train=train)
        x = x.reshape(x.shape[0], -1)
        for features in (120, 84):
            x = nn.relu(nn.Dense(features, dtype=self.dtype)(x))
        return nn.Dense(self.num_classes, dtype=self.dtype)(x)


@models.register
def lenet5(**options) -> LeNet5:
    """LeNet-5 for 28x28 images (28-14-10-5): 61,706 parameters for one channel.

    The layout of LeCun et al., 1998, "Gradient-based learning applied to document
    recognition", figure 2, in its modern form: ReLU instead of a scaled tanh, a pool
    without parameters, every third-layer map connected to every second-layer one, and
    a softmax output. Weights start from LeCun's rule (a truncated normal distribution
    of variance 1 / fan-in; He's, twice that, trains worse under max pooling), biases
    from 0.
    """
    return LeNet5(**options)
