"""Pure functions on arrays: pooling, convolution, normalisation. Knows no flax.

Maps are `[*batch, *spatial, channels]` with any number of leading batch axes.
"""

from cnnlab.ops.convolution import conv
from cnnlab.ops.normalization import local_response_norm
from cnnlab.ops.pool_definition import mapped, pools, windowed
from cnnlab.ops.pooling import avg_pool, lp_pool, max_pool
from cnnlab.ops.stochastic import stochastic_pool

__all__ = [
    "avg_pool",
    "conv",
    "local_response_norm",
    "lp_pool",
    "mapped",
    "max_pool",
    "pools",
    "stochastic_pool",
    "windowed",
]
