"""One step of training, a pure function."""

import dataclasses
from typing import Any

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
    pieces = method.accumulate
    if pieces == 1:
        gradients, batch_stats, loss, correct = _gradients(
            model, method, state, images, labels, 0
        )
    else:

        def piece(carry, taken):
            batch_stats, *sums = carry
            at = state._replace(batch_stats=batch_stats)
            gradients, batch_stats, *more = _gradients(model, method, at, *taken)
            sums = jax.tree.map(jnp.add, sums, [gradients, *more])
            return (batch_stats, *sums), None

        split = [x.reshape(pieces, -1, *x.shape[1:]) for x in (images, labels)]
        taken = (*split, jnp.arange(pieces))
        like = jax.eval_shape(
            lambda: _gradients(model, method, state, *(x[0] for x in taken))
        )
        zeros = [jnp.zeros(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(like)]
        gradients, _, loss, correct = jax.tree.unflatten(
            jax.tree.structure(like), zeros
        )
        start = (state.batch_stats, gradients, loss, correct)
        (batch_stats, gradients, loss, correct), _ = lax.scan(piece, start, taken)
        gradients = jax.tree.map(lambda leaf: leaf / pieces, gradients)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    step = state.step + 1
    totals = Totals(
        loss=loss.astype(jnp.float32),
        correct=correct,
        examples=jnp.full((), len(labels), jnp.int32),
        diverged_at=jnp.where(jnp.isfinite(loss), 0, step),
    )
    average = state.average
    if method.ema_decay:
        average = _averaged(average, params, step, method.ema_decay)
    state = state._replace(
        step=step,
        params=params,
        batch_stats=batch_stats,
        opt_state=opt_state,
        average=average,
    )
    return state, totals


def _gradients(model, method, state, images, labels, piece):
    """Gradients of the mean loss, new batch statistics, summed loss, and hits."""

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
        loss = each.mean()
        for scores in jax.tree.leaves(updated.get("auxiliary", {})):
            loss += AUXILIARY_WEIGHT * _losses(method, scores, targets).mean()
        return loss, (each.sum(), logits, updated)

    gradients, (loss, logits, updated) = jax.grad(loss_of, has_aux=True)(state.params)
    correct = (logits.argmax(-1) == labels).sum(dtype=jnp.int32)
    return gradients, updated.get("batch_stats", {}), loss, correct


def _losses(method: Method, scores: Array, labels: Array) -> Float[Array, " batch"]:
    return losses(
        scores, labels, loss=method.loss, label_smoothing=method.label_smoothing
    )


def _averaged(average: Any, params: Any, step: Array, decay: float) -> Any:
    """The moving average after `step` steps.

    Its decay rises from 2/11 to `decay`, so that the first weights, which are random,
    are soon forgotten.
    """
    decay = jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(
        lambda old, new: (old * decay + new * (1 - decay)).astype(old.dtype),
        average,
        params,
    )
