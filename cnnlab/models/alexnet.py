"""AlexNet: one tower, as it is built today, and the two towers of 2012."""

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from cnnlab.models.dense_headed import DenseHeaded
from cnnlab.models.registry import models
from cnnlab.models.torch_names import TorchModule, TorchNames
from cnnlab.ops import local_response_norm


class AlexNet(DenseHeaded, kw_only=True):
    """Five convolutions, three of them pooled, and three dense layers, in one tower."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch *rows_and_columns classes"]:
        init = nn.initializers.he_normal()
        for features, size, strides, padding, pooled in (
            (64, 11, 4, 2, True),
            (192, 5, 1, 2, True),
            (384, 3, 1, 1, False),
            (256, 3, 1, 1, False),
            (256, 3, 1, 1, True),
        ):
            path = size, strides, padding
            x = self.conv(x, features, *path, kernel_init=init, train=train)
            x = self.subsample(x, 3, 2, train=train) if pooled else x
        return self.scores(x, (0.5, 0.5, 0.0), kernel_init=init, train=train)

    def torch_names(self) -> TorchNames:
        """Torchvision's names of the layers."""
        return {
            **{f"Conv_{i}": f"features.{n}" for i, n in enumerate((0, 3, 6, 8, 10))},
            "DenseHead_0/Dense_0": TorchModule(("classifier.1",), channels=256),
            "DenseHead_0/Dense_1": "classifier.4",
            "DenseHead_0/Dense_2": "classifier.6",
        }


class AlexNet2012(DenseHeaded, kw_only=True):
    """Two towers that meet in the third convolution and in the dense layers.

    Channels of the first tower come before those of the second.
    """

    image_shape = (227, 227, 3)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch *rows_and_columns classes"]:
        init, zeros, ones = (
            nn.initializers.normal(0.01),
            nn.initializers.zeros_init(),
            nn.initializers.ones_init(),
        )
        for features, size, strides, padding, groups, bias, normalized, pooled in (
            (96, 11, 4, 0, 1, zeros, True, True),
            (256, 5, 1, 2, 2, ones, True, True),
            (384, 3, 1, 1, 1, zeros, False, False),
            (384, 3, 1, 1, 2, ones, False, False),
            (256, 3, 1, 1, 2, ones, False, True),
        ):
            x = self.conv(
                x,
                features,
                size,
                strides,
                padding,
                groups=groups,
                kernel_init=init,
                bias_init=bias,
                then=_normalized if normalized else nn.relu,
                train=train,
            )
            x = self.subsample(x, 3, 2, train=train) if pooled else x
        return self.scores(
            x,
            (0.0, 0.5, 0.5),
            kernel_init=init,
            bias_init=ones,
            train=train,
        )


def _normalized(x: Array) -> Array:
    return local_response_norm(nn.relu(x))


@models.register
def alexnet(**options) -> AlexNet:
    """AlexNet in one tower: 61,100,840 parameters for 224x224 images and 1000 classes.

    Maps of 55-27-13-6 entries a side. The layers of `alexnet_2012`'s figure 2 in one
    tower: the net of Krizhevsky, 2014, "One weird trick for parallelizing convolutional
    neural networks", https://arxiv.org/abs/1404.5997, in the form that torchvision gave
    it: 64-192-384-256-256 maps (a footnote of the paper has 384 in the fourth layer),
    no response normalisation, dropout before each hidden dense layer. No adaptive pool
    comes before these, so smaller images have a smaller first one. With `head="conv"` a
    larger image gets a map of scores; as the maps are padded, none is that of its crop
    (see `DenseHeaded`). The paper gives no initialisation: kernels start from He's rule
    (a truncated normal distribution of variance 2 / fan-in), biases from 0.
    """
    return AlexNet(**options)


@models.register
def alexnet_2012(**options) -> AlexNet2012:
    """The two-tower AlexNet: 60,965,224 parameters for 227x227 images and 1000 classes.

    Maps of 55-27-13-6 entries a side. Krizhevsky, Sutskever and Hinton, 2012, "ImageNet
    classification with deep convolutional neural networks", figure 2: layers 2, 4 and 5
    see their own tower (`groups=2`), response normalisation follows layers 1 and 2,
    overlapping 3x3 pools at stride 2 follow these and layer 5. Its images are called
    224x224, of which no padding leaves 55; 227 does. The normalisation runs over
    all maps, as the paper's equation says; its own program kept to each tower's. With
    `head="conv"` a larger image gets a map of scores; as the maps are padded, none is
    that of its crop (see `DenseHeaded`). As in section 5, weights start from a normal
    distribution of deviation 0.01, biases of layers 2, 4, 5 and the hidden dense ones
    from 1, the others from 0.
    """
    return AlexNet2012(**options)
