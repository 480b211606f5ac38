"""What training makes small, from scores and labels."""

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Int


def cross_entropy(
    scores: Float[Array, "batch classes"], targets: Float[Array, "batch classes"]
) -> Float[Array, " batch"]:
    """The cross-entropy of the softmax of `scores`, in nats."""
    return optax.softmax_cross_entropy(scores, targets)


def mean_squared_error(
    scores: Float[Array, "batch classes"], targets: Float[Array, "batch classes"]
) -> Float[Array, " batch"]:
    """The mean over classes of (score - target)^2, without a softmax.

    Source: Hui and Belkin, 2021, section 2 (https://arxiv.org/abs/2006.07322), without
        its rescaling.
    """
    return jnp.mean(jnp.square(scores - targets), axis=-1)


LOSSES = {
    "cross_entropy": cross_entropy,
    "mean_squared_error": mean_squared_error,
}


def losses(
    scores: Float[Array, "batch classes"],
    labels: Int[Array, " batch"] | Float[Array, "batch classes"],
    *,
    loss: str = "cross_entropy",
    label_smoothing: float = 0.0,
) -> Float[Array, " batch"]:
    """The loss of each example, in at least float32.

    Args:
        labels: a class each, or its probabilities.
        label_smoothing: the share of each label that goes to all classes alike
            (Szegedy et al., 2016, section 7, https://arxiv.org/abs/1512.00567).
    """
    scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    if labels.ndim == 1 and loss == "cross_entropy" and not label_smoothing:
        return optax.softmax_cross_entropy_with_integer_labels(scores, labels)
    if labels.ndim == 1:
        labels = jax.nn.one_hot(labels, scores.shape[-1], dtype=scores.dtype)
    if label_smoothing:
        labels = optax.smooth_labels(labels, label_smoothing)
    return LOSSES[loss](scores, labels)
