"""One step of training, a pure function."""

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jaxtyping import Float, Int

from cnnlab.data.augmentation.mixup import mixup
from cnnlab.training.keys import key_for
from cnnlab.training.objective import losses
from cnnlab.training.state import Totals, TrainState, variables

# Szegedy et al., 2014, section 5.
AUXILIARY_WEIGHT = 0.3


@dataclasses.dataclass(frozen=True)
class Method:
    """What a step does besides the model's and the optimizer's part.

    Attributes:
        loss, label_smoothing, mixup, ema_decay, accumulate: as in `Recipe`.
    """

    loss: str = "cross_entropy"
    label_smoothing: float = 0.0
    mixup: float = 0.0
    ema_decay: float = 0.0
    accumulate: int = 1


def train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    images: Float[Array, "batch height width channels"],
    labels: Int[Array, " batch"],
    method: Method = Method(),
) -> tuple[TrainState, Totals]:
    """The state after one step on a batch, and the batch's loss and hits before it.

    The gradient is that of the mean loss, plus `AUXILIARY_WEIGHT` times that of all
    other scores that the model sows in the collection "auxiliary". The loss that is
    returned is that of the model's own scores alone.
    """
    take = _gradients if method.accumulate == 1 else _accumulated
    gradients, batch_stats, sums = take(model, method, state, images, labels)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    step = state.step + 1
    totals = Totals(
        loss=sums.loss.astype(jnp.float32),
        correct=sums.correct,
        examples=jnp.full((), len(labels), jnp.int32),
        diverged_at=jnp.where(jnp.isfinite(sums.objective), 0, step),
    )
    average = state.average
    if method.ema_decay:
        average = _averaged(
            average, variables(params, batch_stats), step, method.ema_decay
        )
    state = state._replace(
        step=step,
        params=params,
        batch_stats=batch_stats,
        opt_state=opt_state,
        average=average,
    )
    return state, totals


class _Sums(NamedTuple):
    """Sums over examples, of the model's own scores.

    `objective` is the mean that the gradient is of, with the scores that are sown.
    """

    loss: Float[Array, ""]
    correct: Int[Array, ""]
    objective: Float[Array, ""]


def _accumulated(model, method, state, images, labels):
    """What `_gradients` gives, in pieces one after the other, each with statistics."""
    pieces = method.accumulate

    def piece(carry, taken):
        batch_stats, *before = carry
        at = state._replace(batch_stats=batch_stats)
        gradients, batch_stats, sums = _gradients(model, method, at, *taken)
        return (batch_stats, *jax.tree.map(jnp.add, before, [gradients, sums])), None

    # Strided, so that devices which share the batch share each piece too.
    split = [
        jnp.moveaxis(x.reshape(-1, pieces, *x.shape[1:]), 1, 0)
        for x in (images, labels)
    ]
    taken = (*split, jnp.arange(pieces))
    like = jax.eval_shape(
        lambda: _gradients(model, method, state, *(x[0] for x in taken))
    )
    gradients, _, sums = jax.tree.map(jnp.zeros_like, like)
    start = state.batch_stats, gradients, sums
    (batch_stats, gradients, sums), _ = lax.scan(piece, start, taken)
    return jax.tree.map(lambda leaf: leaf / pieces, gradients), batch_stats, sums


def _gradients(model, method, state, images, labels, piece=0):
    """Gradients of the mean objective, new batch statistics, and sums."""

    def key(role):
        key = key_for(state.seed, role, state.step)
        return key if method.accumulate == 1 else jax.random.fold_in(key, piece)

    targets = labels
    if method.mixup:
        classes = jax.eval_shape(
            lambda: model.apply(state.variables, images, train=False)
        ).shape[-1]
        targets = jax.nn.one_hot(labels, classes, dtype=images.dtype)
        images, targets = mixup(key("mixup"), images, targets, alpha=method.mixup)

    def loss_of(params):
        logits, updated = model.apply(
            variables(params, state.batch_stats),
            images,
            train=True,
            rngs={role: key(role) for role in ("pool", "dropout")},
            mutable=["batch_stats", "auxiliary"],
        )
        each = _losses(method, logits, targets)
        objective = each.mean()
        for scores in jax.tree.leaves(updated.get("auxiliary", {})):
            objective += AUXILIARY_WEIGHT * _losses(method, scores, targets).mean()
        return objective, (each.sum(), logits, updated)

    (objective, (loss, logits, updated)), gradients = jax.value_and_grad(
        loss_of, has_aux=True
    )(state.params)
    correct = (logits.argmax(-1) == labels).sum(dtype=jnp.int32)
    sums = _Sums(loss, correct, objective)
    return gradients, updated.get("batch_stats", {}), sums


def _losses(method: Method, scores: Array, labels: Array) -> Float[Array, " batch"]:
    return losses(
        scores, labels, loss=method.loss, label_smoothing=method.label_smoothing
    )


def _averaged(average: Any, params: Any, step: Array, decay: float) -> Any:
    """The moving average after `step` steps.

    Its decay rises from 2/11 as (1 + step) / (10 + step) up to `decay`, so that the
    first weights, which are random, are soon forgotten.
    """
    # Of an integer the quotient would be in float32 whatever the precision.
    share = jnp.maximum(1 - decay, 9 / (10 + jnp.asarray(step, float)))
    return jax.tree.map(
        lambda old, new: (old + share * (new - old)).astype(old.dtype), average, params
    )
