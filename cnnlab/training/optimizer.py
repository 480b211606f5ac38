"""The optimizer of a recipe, whose peak rate is data: rates share compiled code."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from cnnlab.training.recipes import Recipe
from cnnlab.training.schedules import schedules
from cnnlab.training.state import TrainState


def optimizer_of(recipe: Recipe, total_steps: int) -> optax.GradientTransformation:
    """The recipe's optimizer for a run of so many steps, at the recipe's peak rate.

    `with_learning_rate` gives it another.
    """
    shape = schedules.resolve(recipe.schedule)(total_steps)

    def at_peak(learning_rate):
        def rate(step):
            return learning_rate * shape(step)

        decay = optax.add_decayed_weights(recipe.weight_decay, mask=kernels)
        if recipe.optimizer == "adam":
            descent = [optax.scale_by_adam(b1=recipe.momentum), decay]
            descent.append(optax.scale_by_learning_rate(rate))
        else:
            nesterov = recipe.optimizer == "nesterov"
            descent = [decay, optax.sgd(rate, recipe.momentum, nesterov=nesterov)]
        if not recipe.weight_decay:
            descent.remove(decay)
        if recipe.clip:
            descent.insert(0, optax.clip_by_global_norm(recipe.clip))
        return optax.chain(*descent)

    return optax.inject_hyperparams(at_peak)(learning_rate=recipe.learning_rate)


def kernels(params: Any) -> Any:
    """Which parameters are kernels: all but biases and the scales of norms.

    Blocks that run as one loop stack theirs, so that axes alone do not tell.
    """

    def is_kernel(path, leaf):
        return path[-1].key not in ("bias", "scale") and jnp.ndim(leaf) > 1

    return jax.tree_util.tree_map_with_path(is_kernel, params)


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
    recipe = Recipe(
        steps=total_steps,
        optimizer="nesterov",
        learning_rate=1.0,
        schedule=f"cosine(warmup={warmup!r})",
        momentum=momentum,
        clip=clip,
    )
    return optimizer_of(recipe, total_steps)


def with_learning_rate(state: TrainState, learning_rate: float) -> TrainState:
    """`state` with that peak rate."""
    rate = jnp.asarray(learning_rate, jnp.float32)
    return state._replace(opt_state=optax.tree.set(state.opt_state, learning_rate=rate))


def learning_rate(recipe: Recipe, total_steps: int, step: int) -> float:
    """The rate of the step that follows `step` others."""
    shape = schedules.resolve(recipe.schedule)(total_steps)
    return recipe.learning_rate * float(shape(step))
