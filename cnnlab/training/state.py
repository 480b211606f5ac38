"""The state of training, its beginning, and one step of it: pure functions."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Int

from cnnlab.training.keys import key_for

# Szegedy et al., 2014, section 5.
AUXILIARY_WEIGHT = 0.3


class TrainState(NamedTuple):
    """All that a run is at one step, a pytree of arrays."""

    step: Int[Array, ""]
    seed: Int[Array, ""]
    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes."""
        return variables(self.params, self.batch_stats)


class Totals(NamedTuple):
    """Sums over training examples seen."""

    loss: Float[Array, ""]
    correct: Int[Array, ""]
    examples: Int[Array, ""]


def variables(params: Any, batch_stats: Any) -> dict[str, Any]:
    """The variables of a model, without a collection that it does not have."""
    return {
        "params": params,
        **({"batch_stats": batch_stats} if batch_stats else {}),
    }


def init(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    seed: int,
    image_shape: tuple[int, int, int],
) -> TrainState:
    """The state at step 0; models that name their parameters alike begin alike."""
    # Op by op, and without the forward pass: arms then share what is compiled.
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    start = model.lazy_init(key_for(seed, "parameters"), images)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        seed=jnp.asarray(seed, jnp.int32),
        params=start["params"],
        batch_stats=start.get("batch_stats", {}),
        opt_state=optimizer.init(start["params"]),
    )


def train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    images: Float[Array, "batch height width channels"],
    labels: Int[Array, " batch"],
) -> tuple[TrainState, Totals]:
    """The state after one step on a batch, and the batch's loss and hits before it.

    The gradient is that of the mean cross-entropy, plus `AUXILIARY_WEIGHT` times that
    of all other scores that the model sows in the collection "auxiliary". The loss that
    is returned is that of the model's own scores alone.
    """

    def loss_of(params):
        logits, updated = model.apply(
            variables(params, state.batch_stats),
            images,
            train=True,
            rngs={
                role: key_for(state.seed, role, state.step)
                for role in ("pool", "dropout")
            },
            mutable=["batch_stats", "auxiliary"],
        )
        losses = _cross_entropy(logits, labels)
        loss = losses.mean()
        for scores in jax.tree.leaves(updated.get("auxiliary", {})):
            loss += AUXILIARY_WEIGHT * _cross_entropy(scores, labels).mean()
        return loss, (losses.sum(), logits, updated)

    gradients, (loss, logits, updated) = jax.grad(loss_of, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    totals = Totals(
        loss=loss.astype(jnp.float32),
        correct=(logits.argmax(-1) == labels).sum(dtype=jnp.int32),
        examples=jnp.full((), len(labels), jnp.int32),
    )
    state = state._replace(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=updated.get("batch_stats", {}),
        opt_state=opt_state,
    )
    return state, totals


def _cross_entropy(
    logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]
) -> Float[Array, " batch"]:
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
