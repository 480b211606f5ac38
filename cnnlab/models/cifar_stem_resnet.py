"""The residual networks for ImageNet with a stem for 32x32 images."""

from collections.abc import Callable

from jax import Array

from cnnlab.models.registry import models
from cnnlab.models.resnet import KERNELS, ResNet


class CifarStemResNet(ResNet, kw_only=True):
    """`ResNet` for 32x32 images: a 3x3 stem at stride 1, without its pool.

    The stages are those of He, Zhang, Ren and Sun, 2015, table 1; the stem is not in
    the paper. Kernels start from He's rule, as in `ResNet`.

    Attributes:
        pool: None subsamples by strided convolutions; any other pool takes the place of
            the strides, on the residual branches and the shortcuts.
    """

    num_classes: int = 10
    pool: str | Callable | None = None

    image_shape = (32, 32, 3)
    subsamples_without_pool = True

    @property
    def block_pool(self) -> str | Callable | None:
        """The pool that takes the blocks' strides."""
        return self.pool

    def stem(self, x: Array, then: Callable[[Array], Array], train: bool) -> Array:
        """The map that the first stage gets."""
        return self.conv(x, 64, 3, padding=1, then=then, train=train, **KERNELS)


@models.register
def cifar_resnet18(**options) -> CifarStemResNet:
    """ResNet-18 with a stem for 32x32 images: 11,173,962 parameters, ten classes.

    Not in the paper: the form in which the field trains it on CIFAR, without the first
    two subsamplings.
    """
    return CifarStemResNet(depth=18, **options)


@models.register
def cifar_resnet50(**options) -> CifarStemResNet:
    """ResNet-50 with a stem for 32x32 images: 23,520,842 parameters, ten classes.

    As `cifar_resnet18`, with the bottlenecks of `resnet50`.
    """
    return CifarStemResNet(depth=50, **options)
