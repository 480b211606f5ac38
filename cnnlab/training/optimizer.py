"""The optimizer of a comparison, whose peak rate is data: rates share compiled code."""

import jax.numpy as jnp
import optax

from cnnlab.training.state import TrainState


def momentum_sgd(
    total_steps: int,
    *,
    momentum: float = 0.9,
    warmup: float = 0.2,
    clip: float = 1.0,
) -> optax.GradientTransformation:
    """Nesterov momentum under a rate that rises linearly, then falls as a cosine to 0.

    The peak rate is set by `with_learning_rate`.

    Args:
        clip: a longer gradient is shortened to this norm, over all parameters.
        warmup: the share of `total_steps` in which the rate rises.
    """
    shape = optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=1.0,
        warmup_steps=max(1, round(warmup * total_steps)),
        decay_steps=max(2, total_steps),
    )

    def at_peak(learning_rate):
        return optax.chain(
            optax.clip_by_global_norm(clip),
            optax.sgd(
                lambda step: learning_rate * shape(step), momentum, nesterov=True
            ),
        )

    return optax.inject_hyperparams(at_peak)(learning_rate=1.0)


def with_learning_rate(state: TrainState, learning_rate: float) -> TrainState:
    """`state` with that peak rate."""
    rate = jnp.asarray(learning_rate, jnp.float32)
    return state._replace(opt_state=optax.tree.set(state.opt_state, learning_rate=rate))
