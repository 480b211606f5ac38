"""The VGG networks, with and without batch normalisation."""

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from cnnlab.models.dense_headed import DenseHeaded
from cnnlab.models.registry import models
from cnnlab.models.torch_names import TorchModule, TorchNames


class VGG(DenseHeaded, kw_only=True):
    """Stages of 3x3 convolutions, each pooled 2x2, and three dense layers.

    Simonyan and Zisserman, 2015, "Very deep convolutional networks for large-scale
    image recognition", https://arxiv.org/abs/1409.1556, table 1. Kernels start from
    Glorot's rule (a uniform distribution of variance 2 / (fan-in + fan-out)), with
    which the paper's section 3.1 finds its pre-training unnecessary, biases from 0.

    Attributes:
        convolutions: how many each stage has.
        batch_norm: whether normalisation comes before each convolution's ReLU.
    """

    convolutions: tuple[int, ...]
    batch_norm: bool
    head_window: int = 7

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch *rows_and_columns classes"]:
        init, norm = nn.initializers.glorot_uniform(), self.norm(train)

        def activated(x):
            return nn.relu(norm()(x) if self.batch_norm else x)

        for features, convolutions in zip(
            (64, 128, 256, 512, 512), self.convolutions, strict=True
        ):
            for _ in range(convolutions):
                x = self.conv(
                    x, features, 3, padding=1, kernel_init=init, then=activated
                )
            x = self.subsample(x, 2, 2, train=train)
        return self.scores(x, (0.0, 0.5, 0.5), kernel_init=init, train=train)

    def torch_names(self) -> TorchNames:
        """Torchvision's names of the layers, and timm's of the dense ones."""
        names, place = {}, 0
        for convolutions in self.convolutions:
            for _ in range(convolutions):
                layer = len(names) // (1 + self.batch_norm)
                names[f"Conv_{layer}"] = f"features.{place}"
                if self.batch_norm:
                    names[f"BatchNorm_{layer}"] = f"features.{place + 1}"
                place += 2 + self.batch_norm
            place += 1
        for layer, known, channels in (
            (0, ("classifier.0", "pre_logits.fc1"), 512),
            (1, ("classifier.3", "pre_logits.fc2"), None),
            (2, ("classifier.6", "head.fc"), None),
        ):
            names[f"DenseHead_0/Dense_{layer}"] = TorchModule(known, channels)
        return names


@models.register
def vgg11(**options) -> VGG:
    """VGG-11: 132,863,336 parameters for 224x224 images and 1000 classes.

    Maps of 224-112-56-28-14-7 entries a side: Simonyan and Zisserman, 2015, table 1,
    net A. Smaller images have a smaller first dense layer: one of 1x1 entries for
    32x32. With `head="conv"` a larger image gets a map of scores, 6x6 of them for
    384x384 (the paper's section 3.2). As every map is padded with zeros, none of them
    is that of its 224x224 crop, which cuts off a receptive field of 342 pixels (see
    `DenseHeaded`).
    """
    return VGG(convolutions=(1, 1, 2, 2, 2), batch_norm=False, **options)


@models.register
def vgg13(**options) -> VGG:
    """VGG-13: 133,047,848 parameters. As `vgg11`, table 1, net B."""
    return VGG(convolutions=(2, 2, 2, 2, 2), batch_norm=False, **options)


@models.register
def vgg16(**options) -> VGG:
    """VGG-16: 138,357,544 parameters. As `vgg11`, table 1, net D.

    A score of `head="conv"` has a receptive field of 404 pixels.
    """
    return VGG(convolutions=(2, 2, 3, 3, 3), batch_norm=False, **options)


@models.register
def vgg19(**options) -> VGG:
    """VGG-19: 143,667,240 parameters. As `vgg11`, table 1, net E."""
    return VGG(convolutions=(2, 2, 4, 4, 4), batch_norm=False, **options)


@models.register
def vgg11_bn(**options) -> VGG:
    """VGG-11 with batch normalisation: 132,868,840 parameters.

    As `vgg11`, with a normalisation between each convolution and its ReLU, which the
    paper does not have. Convolutions keep their biases, as in torchvision. The common
    net for CIFAR is this one with `num_classes=10, head_features=512` on 32x32 images.
    """
    return VGG(convolutions=(1, 1, 2, 2, 2), batch_norm=True, **options)


@models.register
def vgg13_bn(**options) -> VGG:
    """VGG-13 with batch normalisation: 133,053,736 parameters. As `vgg11_bn`."""
    return VGG(convolutions=(2, 2, 2, 2, 2), batch_norm=True, **options)


@models.register
def vgg16_bn(**options) -> VGG:
    """VGG-16 with batch normalisation: 138,365,992 parameters. As `vgg11_bn`."""
    return VGG(convolutions=(2, 2, 3, 3, 3), batch_norm=True, **options)


@models.register
def vgg19_bn(**options) -> VGG:
    """VGG-19 with batch normalisation: 143,678,248 parameters. As `vgg11_bn`."""
    return VGG(convolutions=(2, 2, 4, 4, 4), batch_norm=True, **options)
