"""Batch normalisation with its parameters and running statistics."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from cnnlab.ops import batch_norm, batch_statistics
from cnnlab.ops.arguments import check_array, check_number


class BatchNorm(nn.Module):
    """`flax.linen.BatchNorm` over all axes but the last, faster on a CPU.

    Parameters, statistics and their names are Flax's, so that checkpoints fit either.

    Attributes:
        use_running_average: whether to normalise by the running statistics, as in
            evaluation, rather than by the batch's.
        momentum: how much of the running statistics a batch leaves as they were.
        dtype: of the result; None takes it from the input.
    """

    use_running_average: bool
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch_and_space channels"]
    ) -> Float[Array, "*batch_and_space channels"]:
        check_array("the map", x)
        check_number("momentum", self.momentum)
        shape = x.shape[-1:]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_variance = self.variable("batch_stats", "var", jnp.ones, shape)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        if self.use_running_average:
            mean, variance = running_mean.value, running_variance.value
        else:
            mean, variance = batch_statistics(x)
            if not self.is_initializing():
                for running, now in (
                    (running_mean, mean),
                    (running_variance, variance),
                ):
                    kept = self.momentum * running.value
                    running.value = kept + (1 - self.momentum) * now
        out = batch_norm(x, mean, variance, scale, bias, self.epsilon)
        return out.astype(self.dtype or x.dtype)
