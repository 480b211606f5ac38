"""Pure functions on arrays: pooling, convolution, normalisation. Knows no flax.

Maps are `[*batch, *spatial, channels]` with any number of leading batch axes.
"""

from cnnlab.ops.adaptive_blur import adaptive_blur_pool
from cnnlab.ops.alias_free import alias_free_activation
from cnnlab.ops.antialiasing import avg_blur_pool, blur_pool, conv_blur, max_blur_pool
from cnnlab.ops.batch_normalization import batch_norm, batch_statistics
from cnnlab.ops.convolution import conv
from cnnlab.ops.fractional import fractional_max_pool
from cnnlab.ops.global_pooling import (
    adaptive_avg_pool,
    adaptive_max_pool,
    global_avg_pool,
    global_concat_pool,
    global_max_pool,
    global_pools,
)
from cnnlab.ops.importance import lip_pool
from cnnlab.ops.learned_polyphase import learned_polyphase
from cnnlab.ops.median import median_pool
from cnnlab.ops.mixed_pooling import gated_pool, mixed_pool
from cnnlab.ops.normalization import local_response_norm
from cnnlab.ops.polyphase import (
    adaptive_polyphase,
    polyphase_choice,
    polyphase_downsample,
    polyphase_upsample,
)
from cnnlab.ops.pool_definition import mapped, pools, windowed
from cnnlab.ops.pooling import avg_pool, l2_pool, lp_pool, max_pool, min_pool
from cnnlab.ops.separable_convolution import depthwise_conv, separable_conv
from cnnlab.ops.smooth_pooling import log_sum_exp_pool, soft_pool
from cnnlab.ops.space_to_depth import depth_to_space, space_to_depth
from cnnlab.ops.spectral import spectral_pool
from cnnlab.ops.stochastic import stochastic_pool
from cnnlab.ops.transposed_convolution import conv_transpose
from cnnlab.ops.unpooling import max_pool_with_switches, max_unpool

__all__ = [
    "adaptive_avg_pool",
    "adaptive_blur_pool",
    "adaptive_max_pool",
    "adaptive_polyphase",
    "alias_free_activation",
    "avg_blur_pool",
    "avg_pool",
    "batch_norm",
    "batch_statistics",
    "blur_pool",
    "conv",
    "conv_blur",
    "conv_transpose",
    "depth_to_space",
    "depthwise_conv",
    "fractional_max_pool",
    "gated_pool",
    "global_avg_pool",
    "global_concat_pool",
    "global_max_pool",
    "global_pools",
    "l2_pool",
    "learned_polyphase",
    "lip_pool",
    "local_response_norm",
    "log_sum_exp_pool",
    "lp_pool",
    "mapped",
    "max_blur_pool",
    "max_pool",
    "max_pool_with_switches",
    "max_unpool",
    "median_pool",
    "min_pool",
    "mixed_pool",
    "polyphase_choice",
    "polyphase_downsample",
    "polyphase_upsample",
    "pools",
    "separable_conv",
    "soft_pool",
    "space_to_depth",
    "spectral_pool",
    "stochastic_pool",
    "windowed",
]
