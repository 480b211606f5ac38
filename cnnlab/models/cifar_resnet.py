"""The residual networks for 32x32 images."""

import functools
from collections.abc import Callable

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from cnnlab.layers import BasicBlock
from cnnlab.layers.repeated import repeated
from cnnlab.layers.residual import SHORTCUTS
from cnnlab.models.globally_pooled import GloballyPooled
from cnnlab.models.registry import models
from cnnlab.ops.arguments import check_choice


class CifarResNet(GloballyPooled, kw_only=True):
    """Three stages of 16, 32 and 64 maps, the last two entered by subsampling.

    He, Zhang, Ren and Sun, 2015, "Deep residual learning for image recognition",
    https://arxiv.org/abs/1512.03385, section 4.2. Kernels start from He's rule (a
    truncated normal distribution of variance 2 / fan-in), the last layer's from LeCun's
    (1 / fan-in), biases from 0, scales of normalisations from 1.

    Attributes:
        blocks_per_stage: the paper's n; the network has 6n + 2 layers.
        pool: None subsamples by strided convolutions, as the paper does; any other pool
            takes the place of both strides, on the residual branch and the shortcut.
        shortcut: "pad" is option A, "projection" option B.
        scan: whether the blocks of a stage after its first one run as one loop, their
            parameters stacked: it compiles in a time that does not grow with them.
    """

    num_classes: int = 10
    blocks_per_stage: int
    pool: str | Callable | None = None
    shortcut: str = "pad"
    scan: bool = False

    image_shape = (32, 32, 3)
    subsamples_without_pool = True

    def __post_init__(self):
        super().__post_init__()
        check_choice("shortcut", self.shortcut, SHORTCUTS)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch classes"]:
        norm = self.norm(train)
        x = self.conv(
            x,
            16,
            3,
            padding=1,
            use_bias=False,
            kernel_init=nn.initializers.he_normal(),
            then=lambda x: nn.relu(norm()(x)),
        )
        for features in (16, 32, 64):
            block = functools.partial(
                BasicBlock,
                features,
                shortcut=self.shortcut,
                pool=self.pool,
                downsample=self.downsample,
                boundary=self.boundary,
                dtype=self.dtype,
            )
            x = block(2 if features > 16 else 1)(x, train=train)
            x = repeated(block, self.blocks_per_stage - 1, x, train, scan=self.scan)
        x = self.globally_pooled(x)
        return nn.Dense(self.num_classes, dtype=self.dtype)(x)


@models.register
def resnet20(**options) -> CifarResNet:
    """ResNet-20 for CIFAR: 269,722 parameters for three channels.

    He, Zhang, Ren and Sun, 2015, https://arxiv.org/abs/1512.03385, section 4.2, with
    n = 3 and option A shortcuts (`shortcut="projection"` is option B, 2,752 parameters
    more).
    """
    return CifarResNet(blocks_per_stage=3, **options)


@models.register
def resnet32(**options) -> CifarResNet:
    """ResNet-32 for CIFAR: 464,154 parameters. As `resnet20`, with n = 5."""
    return CifarResNet(blocks_per_stage=5, **options)


@models.register
def resnet44(**options) -> CifarResNet:
    """ResNet-44 for CIFAR: 658,586 parameters. As `resnet20`, with n = 7."""
    return CifarResNet(blocks_per_stage=7, **options)


@models.register
def resnet56(**options) -> CifarResNet:
    """ResNet-56 for CIFAR: 853,018 parameters. As `resnet20`, with n = 9."""
    return CifarResNet(blocks_per_stage=9, **options)


@models.register
def resnet110(**options) -> CifarResNet:
    """ResNet-110 for CIFAR: 1,727,962 parameters. As `resnet20`, with n = 18.

    Its blocks run as loops (`scan=True`), so that it compiles in seconds.
    """
    return CifarResNet(blocks_per_stage=18, **{"scan": True} | options)


@models.register
def resnet1202(**options) -> CifarResNet:
    """ResNet-1202 for CIFAR: 19,421,274 parameters. As `resnet110`, with n = 200."""
    return CifarResNet(blocks_per_stage=200, **{"scan": True} | options)
