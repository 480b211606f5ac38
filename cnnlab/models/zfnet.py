"""ZFNet, the network that was mended by looking into it."""

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from cnnlab.models.dense_headed import DenseHeaded
from cnnlab.models.registry import models
from cnnlab.ops import local_response_norm


class ZFNet(DenseHeaded, kw_only=True):
    """Five convolutions, three of them pooled, and three dense layers."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch *rows_and_columns classes"]:
        init = nn.initializers.normal(0.01)
        for features, size, strides, padding in ((96, 7, 2, 1), (256, 5, 2, 0)):
            path = size, strides, padding
            x = self.conv(x, features, *path, kernel_init=init, train=train)
            x = self.subsample(x, 3, 2, 1, train=train)
            x = local_response_norm(x)
        for features in (384, 384, 256):
            x = self.conv(x, features, 3, padding=1, kernel_init=init)
        x = self.subsample(x, 3, 2, train=train)
        return self.scores(x, (0.0, 0.5, 0.5), kernel_init=init, train=train)


@models.register
def zfnet(**options) -> ZFNet:
    """ZFNet: 62,357,608 parameters for 224x224 images and 1000 classes.

    Maps of 110-55-26-13-6 entries a side. Zeiler and Fergus, 2014, "Visualizing and
    understanding convolutional networks", https://arxiv.org/abs/1311.2901, figure 3.
    The figure gives sides and no paddings: they are 1 for the first convolution and the
    first two pools, and 0 for the second convolution and the last pool, each on all
    sides, so that the last column of some maps is not read. After the first two pools
    the figure has "contrast norm" across maps and no constants: here it is the response
    normalisation of Krizhevsky et al., 2012, with theirs. With `head="conv"` a larger
    image gets a map of scores; as the maps are padded, none is that of its crop (see
    `DenseHeaded`). Weights start from a normal distribution of deviation 0.01 (the
    paper, section 3, says "10^-2"), biases from 0. The paper's bound on the filters'
    norms in training is not part of the network.
    """
    return ZFNet(**options)
