"""The residual networks for ImageNet."""

import functools
from collections.abc import Callable

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from cnnlab.layers import (
    BasicBlock,
    BottleneckBlock,
    PreactivationBlock,
    PreactivationBottleneck,
)
from cnnlab.layers.repeated import repeated
from cnnlab.layers.residual import SHORTCUTS
from cnnlab.models.globally_pooled import GloballyPooled
from cnnlab.models.registry import models
from cnnlab.models.resnet_names import timm_names, torchvision_names
from cnnlab.models.torch_names import TorchNames
from cnnlab.ops.arguments import check_choice

# Blocks per stage, and whether they are bottlenecks (He et al., 2015, table 1).
STAGES = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}
# Of the blocks of each version, plain and bottleneck.
BLOCKS = {
    "v1": (BasicBlock, functools.partial(BottleneckBlock, subsampling_conv=0)),
    "v1.5": (BasicBlock, BottleneckBlock),
    "v2": (PreactivationBlock, PreactivationBottleneck),
}
# He's rule, for all kernels.
KERNELS = {"use_bias": False, "kernel_init": nn.initializers.he_normal()}


class ResNet(GloballyPooled, kw_only=True):
    """A 7x7 stem, a pool, and four stages of 64, 128, 256 and 512 maps.

    He, Zhang, Ren and Sun, 2015, "Deep residual learning for image recognition",
    https://arxiv.org/abs/1512.03385, table 1, with option B shortcuts. Kernels start
    from He's rule (a truncated normal distribution of variance 2 / fan-in), the last
    layer's from LeCun's (1 / fan-in), biases from 0, scales of normalisations from 1.

    Attributes:
        depth: the layers that the paper counts, a key of `STAGES`.
        version: "v1" is the paper's; in "v1.5" a bottleneck's 3x3 convolution has its
            strides, not the first 1x1; "v2" normalises before it convolves.
        shortcut: "projection" is option B; "pad", option A, has no parameters.
        scan: whether the blocks of a stage after its first one run as one loop, their
            parameters stacked: it compiles in a time that does not grow with them.
    """

    depth: int
    version: str = "v1.5"
    shortcut: str = "projection"
    scan: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_choice("version", self.version, BLOCKS)
        check_choice("shortcut", self.shortcut, SHORTCUTS)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch classes"]:
        norm = self.norm(train)
        preactivation = self.version == "v2"

        def activated(x):
            return nn.relu(norm()(x))

        # A first block that activates its map leaves nothing to do for the stem.
        x = self.stem(x, (lambda x: x) if preactivation else activated, train)
        stages, bottleneck = STAGES[self.depth]
        for stage, blocks in enumerate(stages):
            block = functools.partial(
                BLOCKS[self.version][bottleneck],
                64 * 2**stage,
                shortcut=self.shortcut,
                pool=self.block_pool,
                downsample=self.downsample,
                boundary=self.boundary,
                dtype=self.dtype,
            )
            x = block(2 if stage else 1)(x, train=train)
            x = repeated(block, blocks - 1, x, train, scan=self.scan)
        x = activated(x) if preactivation else x
        x = self.globally_pooled(x)
        return nn.Dense(self.num_classes, dtype=self.dtype)(x)

    @property
    def block_pool(self) -> str | Callable | None:
        """The pool that takes the blocks' strides."""
        return None

    def stem(self, x: Array, then: Callable[[Array], Array], train: bool) -> Array:
        """The map that the first stage gets."""
        x = self.conv(x, 64, 7, 2, 3, then=then, train=train, **KERNELS)
        return self.subsample(x, 3, 2, 1, train=train)

    def torch_names(self) -> TorchNames:
        """Torchvision's names of the layers; of a "v2", which it lacks, timm's."""
        names = timm_names if self.version == "v2" else torchvision_names
        return names(*STAGES[self.depth], self.scan)

    @property
    def torch_normalization(self) -> str:
        """How the images were scaled on which such weights were trained."""
        return "inception" if self.version == "v2" else "imagenet"


@models.register
def resnet18(**options) -> ResNet:
    """ResNet-18: 11,689,512 parameters for 224x224x3 and 1000 classes.

    He, Zhang, Ren and Sun, 2015, https://arxiv.org/abs/1512.03385, table 1.
    """
    return ResNet(depth=18, **options)


@models.register
def resnet34(**options) -> ResNet:
    """ResNet-34: 21,797,672 parameters. As `resnet18`."""
    return ResNet(depth=34, **options)


@models.register
def resnet50(**options) -> ResNet:
    """ResNet-50 v1.5: 25,557,032 parameters. As `resnet18`, with bottlenecks.

    The 3x3 convolutions have the strides, as in torchvision; the paper's first 1x1 ones
    (`resnet50_v1`) skip three of four places.
    """
    return ResNet(depth=50, **options)


@models.register
def resnet101(**options) -> ResNet:
    """ResNet-101 v1.5: 44,549,160 parameters. As `resnet50`."""
    return ResNet(depth=101, **options)


@models.register
def resnet152(**options) -> ResNet:
    """ResNet-152 v1.5: 60,192,808 parameters. As `resnet50`."""
    return ResNet(depth=152, **options)


@models.register
def resnet18_v1(**options) -> ResNet:
    """ResNet-18 as in the paper, which `resnet18` is too: 11,689,512 parameters."""
    return ResNet(depth=18, version="v1", **options)


@models.register
def resnet34_v1(**options) -> ResNet:
    """ResNet-34 as in the paper, which `resnet34` is too: 21,797,672 parameters."""
    return ResNet(depth=34, version="v1", **options)


@models.register
def resnet50_v1(**options) -> ResNet:
    """ResNet-50 as in the paper: 25,557,032 parameters.

    He et al., 2015, table 1; the first 1x1 convolution of a bottleneck has its strides.
    """
    return ResNet(depth=50, version="v1", **options)


@models.register
def resnet101_v1(**options) -> ResNet:
    """ResNet-101 as in the paper: 44,549,160 parameters. As `resnet50_v1`."""
    return ResNet(depth=101, version="v1", **options)


@models.register
def resnet152_v1(**options) -> ResNet:
    """ResNet-152 as in the paper: 60,192,808 parameters. As `resnet50_v1`."""
    return ResNet(depth=152, version="v1", **options)


@models.register
def resnet18_v2(**options) -> ResNet:
    """ResNet-18 with pre-activation: 11,687,720 parameters. As `resnet50_v2`."""
    return ResNet(depth=18, version="v2", **options)


@models.register
def resnet34_v2(**options) -> ResNet:
    """ResNet-34 with pre-activation: 21,795,880 parameters. As `resnet50_v2`."""
    return ResNet(depth=34, version="v2", **options)


@models.register
def resnet50_v2(**options) -> ResNet:
    """ResNet-50 with pre-activation: 25,549,352 parameters.

    He, Zhang, Ren and Sun, 2016, "Identity mappings in deep residual networks",
    https://arxiv.org/abs/1603.05027, figure 1 (b) and section 4, on the stages of 2015.
    The stem's convolution is pooled as it is, since the first block normalises and
    activates; so in ResNet-18 and 34 the first shortcut carries a map that is not
    activated, where the paper's appendix activates before it splits. The 3x3
    convolutions have the strides. Weights start as in `resnet18`.
    """
    return ResNet(depth=50, version="v2", **options)


@models.register
def resnet101_v2(**options) -> ResNet:
    """ResNet-101 with pre-activation: 44,541,480 parameters. As `resnet50_v2`."""
    return ResNet(depth=101, version="v2", **options)


@models.register
def resnet152_v2(**options) -> ResNet:
    """ResNet-152 with pre-activation: 60,185,128 parameters. As `resnet50_v2`."""
    return ResNet(depth=152, version="v2", **options)
