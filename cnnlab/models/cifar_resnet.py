"""The residual networks for 32x32 images."""

from collections.abc import Callable

import flax.linen as nn
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from cnnlab.layers import BasicBlock, BatchNorm, Conv
from cnnlab.models.registry import models
from cnnlab.ops import global_pools, pools


class CifarResNet(nn.Module):
    """Three stages of 16, 32 and 64 maps, the last two entered by subsampling."""

    num_classes: int
    blocks_per_stage: int
    shortcut: str
    pool: str | Callable | None
    head_pool: Callable
    boundary: str
    dtype: DTypeLike | None

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> Float[Array, "batch classes"]:
        x = Conv(
            16,
            3,
            padding=1,
            use_bias=False,
            boundary=self.boundary,
            dtype=self.dtype,
            kernel_init=nn.initializers.he_normal(),
        )(x)
        x = BatchNorm(use_running_average=not train, dtype=self.dtype)(x)
        x = nn.relu(x)
        for features in (16, 32, 64):
            for block in range(self.blocks_per_stage):
                x = BasicBlock(
                    features,
                    strides=2 if block == 0 and features > 16 else 1,
                    shortcut=self.shortcut,
                    pool=self.pool,
                    boundary=self.boundary,
                    dtype=self.dtype,
                )(x, train=train)
        x = self.head_pool(x)
        return nn.Dense(self.num_classes, dtype=self.dtype)(x)


@models.register
def resnet20(
    num_classes: int = 10,
    *,
    pool: str | Callable | None = None,
    head_pool: str | Callable = "global_avg_pool",
    shortcut: str = "pad",
    boundary: str = "zero",
    dtype: DTypeLike | None = None,
) -> CifarResNet:
    """ResNet-20 for CIFAR: 269,722 parameters for three channels.

    He, Zhang, Ren and Sun, 2015, https://arxiv.org/abs/1512.03385, section 4.2, with
    n = 3 and option A shortcuts (`shortcut="projection"` is option B). `pool=None`
    subsamples by strided convolution, as the paper does; any other pool takes the
    place of both strides, on the residual branch and on the shortcut. `head_pool` is
    any of `ops.global_pools`.
    """
    pool = pool if pool is None else pools.resolve(pool)
    head_pool = global_pools.resolve(head_pool)
    return CifarResNet(num_classes, 3, shortcut, pool, head_pool, boundary, dtype)
