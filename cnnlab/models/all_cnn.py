"""The twelve networks that ask what pooling is for.

Springenberg, Dosovitskiy, Brox and Riedmiller, 2014, "Striving for simplicity: the all
convolutional net", https://arxiv.org/abs/1412.6806: models A, B and C of table 1, and
what table 2 and section 3 derive of each.
"""

from collections.abc import Callable

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from cnnlab.models.globally_pooled import MapPerClass
from cnnlab.models.registry import models

SIZES = {"a": (5,), "b": (5, 1), "c": (3, 3)}
_MAPS = 96


class AllCnn(MapPerClass, kw_only=True):
    """Two subsampled stages of 96 and 192 maps, then three convolutions to scores.

    Springenberg, Dosovitskiy, Brox and Riedmiller, 2014, tables 1 and 2. The four nets
    of a variant are two, each with a pool and without: `strided_c` under
    `pool="max_pool"` is `base_c`, and `all_cnn_c` is `conv_pool_c`. Kernels start from
    He's rule (a truncated normal distribution of variance 2 / fan-in) and biases from
    0, as the paper does not say how.

    Attributes:
        variant: "a", "b" or "c": the sizes of a stage's convolutions.
        more_convs: whether each stage has a 3x3 convolution more.
        pool: 3x3 at stride 2, after each stage; None gives that stride to the last
            convolution of the stage.
        width: the share of the paper's maps that every layer but the last has, from
            0.01 to 1: of 96 the nearest whole number, of 192 twice that.
        dropout: the share of the paper's dropout (0.2 of the image, 0.5 of what each
            stage gives), from 0 to 1. Few maps learn slowly under all of it.
    """

    num_classes: int = 10
    variant: str
    more_convs: bool
    pool: str | Callable | None = "max_pool"
    width: float = 1.0
    dropout: float = 1.0

    image_shape = (32, 32, 3)
    subsamples_without_pool = True

    def __post_init__(self):
        super().__post_init__()
        for name, least, of in (
            ("width", 0.01, "maps"),
            ("dropout", 0, "dropout rates"),
        ):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and least <= value <= 1):
                raise ValueError(
                    f"{name} takes a number from {least} to 1, the share of the "
                    f"paper's {of}, got {value!r}"
                )

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch classes"]:
        def conv(x, features, size, strides=1, padding=None):
            # Symmetric, so that convolutions and pools are centred on the same entries.
            padding = size // 2 if padding is None else padding
            init = nn.initializers.he_normal()
            return self.conv(
                x, features, size, strides, padding, kernel_init=init, train=train
            )

        sizes = SIZES[self.variant] + ((3,) if self.more_convs else ())
        maps = round(_MAPS * self.width)
        x = nn.Dropout(0.2 * self.dropout, deterministic=not train)(x)
        for features in (maps, 2 * maps):
            for size in sizes[:-1]:
                x = conv(x, features, size)
            x = conv(x, features, sizes[-1], 2 if self.pool is None else 1)
            if self.pool is not None:
                x = self.subsample(x, 3, 2, 1, train=train)
            x = nn.Dropout(0.5 * self.dropout, deterministic=not train)(x)
        x = conv(x, 2 * maps, 3, padding=0)
        x = conv(x, 2 * maps, 1)
        x = conv(x, self.num_classes, 1)
        return self.class_scores(x)


@models.register
def base_a(**options) -> AllCnn:
    """Model A of table 1 (32-16-8-6): 839,242 parameters.

    A stage is a 5x5 convolution. Every convolution has a ReLU, the one to the scores
    too. The 3x3 convolution after the stages is not padded, which gives the 6x6 of the
    paper's average; padding elsewhere is not stated there, and symmetric here. Of the
    image 20% is dropped in training, and half of what each stage gives.
    """
    return AllCnn(variant="a", more_convs=False, **options)


@models.register
def base_b(**options) -> AllCnn:
    """Model B of table 1: 885,610 parameters.

    As `base_a`, with a 1x1 convolution after each 5x5 one.
    """
    return AllCnn(variant="b", more_convs=False, **options)


@models.register
def base_c(**options) -> AllCnn:
    """Model C of table 1: 954,730 parameters, for which the paper prints 1.3 million.

    As `base_a`, with two 3x3 convolutions in place of each 5x5 one.
    """
    return AllCnn(variant="c", more_convs=False, **options)


@models.register
def strided_a(**options) -> AllCnn:
    """Strided-CNN-A: 839,242 parameters.

    As `base_a`, with the stride of each pool in the convolution before it.
    """
    return AllCnn(variant="a", more_convs=False, **{"pool": None} | options)


@models.register
def strided_b(**options) -> AllCnn:
    """Strided-CNN-B: 885,610 parameters.

    As `base_b`, with the stride of each pool in the convolution before it: that is the
    1x1 one, which so skips three entries of four.
    """
    return AllCnn(variant="b", more_convs=False, **{"pool": None} | options)


@models.register
def strided_c(**options) -> AllCnn:
    """Strided-CNN-C of table 2: 954,730 parameters.

    As `base_c`, with the stride of each pool in the convolution before it.
    """
    return AllCnn(variant="c", more_convs=False, **{"pool": None} | options)


@models.register
def conv_pool_a(**options) -> AllCnn:
    """ConvPool-CNN-A: 1,254,250 parameters.

    As `base_a`, with a 3x3 convolution more before each pool, so that it has as many
    parameters as `all_cnn_a`.
    """
    return AllCnn(variant="a", more_convs=True, **options)


@models.register
def conv_pool_b(**options) -> AllCnn:
    """ConvPool-CNN-B: 1,300,618 parameters.

    To `base_b` as `conv_pool_a` to `base_a`.
    """
    return AllCnn(variant="b", more_convs=True, **options)


@models.register
def conv_pool_c(**options) -> AllCnn:
    """ConvPool-CNN-C of table 2: 1,369,738 parameters.

    To `base_c` as `conv_pool_a` to `base_a`.
    """
    return AllCnn(variant="c", more_convs=True, **options)


@models.register
def all_cnn_a(**options) -> AllCnn:
    """All-CNN-A: 1,254,250 parameters.

    As `base_a`, with a 3x3 convolution at stride 2 in place of each pool.
    """
    return AllCnn(variant="a", more_convs=True, **{"pool": None} | options)


@models.register
def all_cnn_b(**options) -> AllCnn:
    """All-CNN-B: 1,300,618 parameters.

    To `base_b` as `all_cnn_a` to `base_a`.
    """
    return AllCnn(variant="b", more_convs=True, **{"pool": None} | options)


@models.register
def all_cnn_c(**options) -> AllCnn:
    """All-CNN-C of table 2: 1,369,738 parameters, 270.80 million multiplications.

    To `base_c` as `all_cnn_a` to `base_a`. They would be 281.17 million if the 3x3
    convolution after the stages were padded, and its map 8x8.
    """
    return AllCnn(variant="c", more_convs=True, **{"pool": None} | options)
