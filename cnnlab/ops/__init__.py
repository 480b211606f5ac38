"""Pure functions on arrays: pooling, convolution, normalisation. Knows no flax.

Maps are `[*batch, *spatial, channels]` with any number of leading batch axes.
"""

from cnnlab.ops.convolution import conv
from cnnlab.ops.normalization import local_response_norm
from cnnlab.ops.pooling import (
    avg_pool,
    lp_pool,
    max_pool,
    pools,
    stochastic_pool,
    windowed,
)

__all__ = [
    "avg_pool",
    "conv",
    "local_response_norm",
    "lp_pool",
    "max_pool",
    "pools",
    "stochastic_pool",
    "windowed",
]
