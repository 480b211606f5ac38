"""Network in Network: convolutions that are small networks themselves."""

from typing import NamedTuple

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from cnnlab.models.ceil_mode import ceil_padding
from cnnlab.models.globally_pooled import MapPerClass
from cnnlab.models.registry import models
from cnnlab.ops import windows


class MlpConv(NamedTuple):
    """A convolution and two 1x1 convolutions after it, each with a ReLU.

    Attributes:
        features: of the three; the last one's may be None, one for each class.
        dropout: the rate at which what it is given is dropped in training.
    """

    features: tuple[int, int, int | None]
    kernel_size: int
    strides: int = 1
    padding: windows.Padding = "SAME"
    dropout: float = 0.0


class NetworkInNetwork(MapPerClass, kw_only=True):
    """Mlpconv layers with a 3x3 pool at stride 2 after each but the last.

    Lin, Chen and Yan, 2013, "Network in network", https://arxiv.org/abs/1312.4400,
    figure 2. The last one gives a map for each class, whose mean is the score. Pools
    are padded as Caffe's (`ceil_mode.ceil_padding`). Kernels start from He's rule (a
    truncated normal distribution of variance 2 / fan-in), as the paper sets its own by
    hand and does not say how, biases from 0.
    """

    layers: tuple[MlpConv, ...]
    image_side: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (self.image_side, self.image_side, 3)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch classes"]:
        init = {"kernel_init": nn.initializers.he_normal()}
        for place, layer in enumerate(self.layers):
            if place:
                x = self.subsample(x, 3, 2, ceil_padding(x, 3, 2), train=train)
            x = nn.Dropout(layer.dropout, deterministic=not train)(x)
            first, second, third = layer.features
            geometry = layer.kernel_size, layer.strides, layer.padding
            x = self.conv(x, first, *geometry, train=train, **init)
            x = self.conv(x, second, 1, **init)
            x = self.conv(x, third or self.num_classes, 1, **init)
        return self.class_scores(x)


@models.register
def nin_cifar10(**options) -> NetworkInNetwork:
    """Network in Network for CIFAR-10 (32-16-8): 966,986 parameters.

    Lin, Chen and Yan, 2013, figure 2, with the sizes of the authors' Caffe model. Both
    pools are max pools, as the paper says; the second one of the Caffe model is an
    average. Half of what each pool gives is dropped in training.
    """
    layers = (
        MlpConv((192, 160, 96), 5),
        MlpConv((192, 192, 192), 5, dropout=0.5),
        MlpConv((192, 192, None), 3, dropout=0.5),
    )
    return NetworkInNetwork(
        layers=layers, image_side=32, **{"num_classes": 10} | options
    )


@models.register
def nin_imagenet(**options) -> NetworkInNetwork:
    """Network in Network for ImageNet (224-54-27-13-6): 7,595,176 parameters.

    The authors' model of Caffe's model zoo, four mlpconv layers and three max pools;
    the paper of `nin_cifar10` has no results for ImageNet. The first convolution does
    not reach the last entry of a side of 224: (224 - 11) / 4 is not whole. Half of what
    the last pool gives is dropped in training. Weights start as in `nin_cifar10`.
    """
    layers = (
        MlpConv((96, 96, 96), 11, 4, "VALID"),
        MlpConv((256, 256, 256), 5),
        MlpConv((384, 384, 384), 3),
        MlpConv((1024, 1024, None), 3, dropout=0.5),
    )
    return NetworkInNetwork(layers=layers, image_side=224, **options)
