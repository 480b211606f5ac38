"""The net that shows that zero padding tells where things are."""

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from cnnlab.models.globally_pooled import GloballyPooled
from cnnlab.models.registry import models
from cnnlab.ops.arguments import check_choice

# Entries added to either side of a map under a 3x3 convolution.
_ADDED = {"VALID": 0, "SAME": 1, "FULL": 2}


class RedGreen(GloballyPooled, kw_only=True):
    """Four 3x3 convolutions without biases, a global maximum, and a dense layer.

    Attributes:
        padding: "VALID", "SAME" or "FULL": none, one or two entries on each side.
        pool: None gives strides to the convolutions; a pool takes them, on windows of
            3x3.
    """

    num_classes: int = 2
    pool: str | None = None
    head_pool: str = "global_max_pool"
    padding: str = "SAME"

    image_shape = (32, 32, 3)
    subsamples_without_pool = True

    def __post_init__(self):
        super().__post_init__()
        check_choice("padding", self.padding, tuple(_ADDED))

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch classes"]:
        added = _ADDED[self.padding]
        for features, stride in ((32, 1), (32, 2), (64, 2), (64, 2)):
            strides = stride if self.pool is None else 1
            x = self.conv(x, features, 3, strides, added, use_bias=False, train=train)
            if strides != stride:
                x = self.subsample(x, 3, stride, 1, train=train)
        return nn.Dense(self.num_classes, dtype=self.dtype)(self.globally_pooled(x))


@models.register
def red_green(**options) -> RedGreen:
    """Four convolutions of 32, 32, 64 and 64 maps (32-16-8-4 padded as SAME).

    65,506 parameters for two classes. With the strides 1, 2, 2 and 2, a circular move
    by 8 pixels moves the last map by one entry where the boundary is circular; under
    FULL zero padding so does any move by 8 that keeps what is not black in the image,
    as nothing has a bias.

    Source: Kayhan and van Gemert, 2020, "On translation invariance in CNNs:
        convolutional layers can exploit absolute spatial location", section 4.1,
        https://arxiv.org/abs/2003.07064. Kernels start from LeCun's rule, as the paper
        does not say how.
    """
    return RedGreen(**options)
