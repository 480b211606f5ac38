"""Normalisation across channels."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from cnnlab.ops.arguments import check_array, check_count, check_number
from cnnlab.ops.named import named


def local_response_norm(
    x: Float[Array, "*batch_and_space channels"],
    *,
    size: int = 5,
    k: float = 2.0,
    alpha: float = 1e-4,
    beta: float = 0.75,
) -> Float[Array, "*batch_and_space channels"]:
    """x / (k + alpha * sum of x^2 over the `size` nearest channels)^beta.

    Channels beyond the first and last count as 0. PyTorch's `alpha` is `size` times
    this one.

    Raises:
        ValueError: size is below 1.
        TypeError: `x` is not an array of a floating-point dtype, `size` is not an
            integer, or one of the others not a number.

    Source: Krizhevsky, Sutskever and Hinton, 2012, section 3.3, "ImageNet
    classification with deep convolutional neural networks".
    """
    check_array("the map", x)
    check_count("size", size)
    for name, value in {"k": k, "alpha": alpha, "beta": beta}.items():
        check_number(name, value)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise TypeError(f"a normalisation needs a floating-point map, got {x.dtype}")
    call = f"local_response_norm(size={size}, k={k}, alpha={alpha}, beta={beta})"
    return named(call, _local_response_norm, size=size, k=k, alpha=alpha, beta=beta)(x)


def _local_response_norm(x, *, size, k, alpha, beta):
    squares = jnp.square(x.astype(jnp.promote_types(x.dtype, jnp.float32)))
    below = size // 2
    padded = jnp.pad(squares, ((0, 0),) * (x.ndim - 1) + ((below, size - 1 - below),))
    channels = x.shape[-1]
    total = sum(padded[..., i : i + channels] for i in range(size))
    return (x * (k + alpha * total) ** -beta).astype(x.dtype)
