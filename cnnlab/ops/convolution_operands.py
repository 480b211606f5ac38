"""What every convolution asks of its map, its kernel and its groups."""

import jax.numpy as jnp
from jax import Array

from cnnlab.ops.arguments import check_array, check_integer


def check_operands(
    x: Array, kernel: Array, groups: int = 1, *, transposed: bool = False
) -> None:
    """Refuses a map and a kernel that do not fit each other.

    Args:
        transposed: whether `x` is what a convolution gives, rather than what it takes.

    Raises:
        ValueError: shapes that do not fit, or `groups` that do not divide them.
        TypeError: one is no array, or not of the other's floating-point dtype; or
            `groups` is not an integer.
    """
    check_array("the map", x)
    check_array("the kernel", kernel)
    check_integer("groups", groups)
    if x.dtype != kernel.dtype or not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            "the map and the kernel must have one floating-point dtype, got "
            f"{x.dtype} and {kernel.dtype}"
        )
    rank = kernel.ndim - 2
    if not 1 <= rank <= 3:
        raise ValueError(
            f"kernel of shape {kernel.shape} must have 1 to 3 spatial axes and two of "
            "channels"
        )
    if x.ndim < rank + 1:
        raise ValueError(
            f"a kernel of shape {kernel.shape} needs a map [*batch, {rank} spatial "
            f"axes, channels], got shape {x.shape}"
        )
    taken = kernel.shape[-1] if transposed else groups * kernel.shape[-2]
    if groups < 1 or kernel.shape[-1] % groups or x.shape[-1] != taken:
        how = ", transposed," if transposed else ""
        raise ValueError(
            f"kernel of shape {kernel.shape}{how} in {groups} groups does not fit a "
            f"map of {x.shape[-1]} channels"
        )
