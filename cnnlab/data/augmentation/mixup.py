"""Mixup: pairs of examples, mixed with their labels."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from cnnlab.data.augmentation.arguments import check_floating, check_within


def mixup(
    key: Key[Array, ""],
    images: Float[Array, "batch height width channels"],
    labels: Float[Array, "batch classes"],
    *,
    alpha: float = 0.2,
) -> tuple[Float[Array, "batch height width channels"], Float[Array, "batch classes"]]:
    """The batch and its labels, each mixed with those of another of a random order.

        share a + (1 - share) b,  share ~ Beta(alpha, alpha), drawn for each pair

    Args:
        labels: the probability of each class, such as one-hot rows.
        alpha: how far mixtures go; 0 leaves all as it is.

    Raises:
        ValueError: alpha is negative, or there is not one row of labels per image.
        TypeError: images or labels do not hold floating-point numbers.

    Source: Zhang, Cisse, Dauphin and Lopez-Paz, 2018, equation 1, "mixup: beyond
    empirical risk minimization", https://arxiv.org/abs/1710.09412; the authors' code
    draws one share for the whole batch.
    """
    check_within("alpha", alpha, 0, 1e3)
    check_floating(images)
    if labels.ndim != 2 or len(labels) != len(images):
        raise ValueError(
            f"mixup needs labels [{len(images)}, classes], got {labels.shape}"
        )
    if not jnp.issubdtype(labels.dtype, jnp.floating):
        raise TypeError(f"labels must be floating-point, got {labels.dtype}")
    if alpha == 0:
        return images, labels
    order_key, share_key = jax.random.split(key)
    order = jax.random.permutation(order_key, len(images))
    share = jax.random.beta(share_key, alpha, alpha, (len(images),), jnp.float32)

    def mixed(values):
        wide = values.astype(jnp.promote_types(values.dtype, jnp.float32))
        part = share.reshape(-1, *(1,) * (values.ndim - 1))
        return (part * wide + (1 - part) * wide[order]).astype(values.dtype)

    return mixed(images), mixed(labels)
