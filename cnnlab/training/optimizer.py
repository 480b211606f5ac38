"""The optimizer of a recipe, whose peak rate is data: rates share compiled code."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from cnnlab.training.recipes import Recipe
from cnnlab.training.schedules import schedules
from cnnlab.training.state import TrainState


# One object for one recipe, so that what is compiled with it is compiled once.
@functools.lru_cache(maxsize=64)
def optimizer_of(recipe: Recipe, total_steps: int) -> optax.GradientTransformation:
    """The recipe's optimizer for a run of so many steps, at the recipe's peak rate.

    `with_learning_rate` gives it another.
    """
    shape = schedules.resolve(recipe.schedule)(total_steps)

    def at_peak(learning_rate):
        def rate(step):
            return learning_rate * _share_of_peak(shape, step)

        nothing = optax.identity()
        clip, decay = nothing, nothing
        if recipe.clip:
            clip = optax.clip_by_global_norm(recipe.clip)
        if recipe.weight_decay:
            decay = optax.add_decayed_weights(recipe.weight_decay, mask=kernels)
        if recipe.optimizer == "adam":
            adam = optax.scale_by_adam(b1=recipe.momentum)
            return optax.chain(clip, adam, decay, optax.scale_by_learning_rate(rate))
        if recipe.optimizer == "adadelta":
            ratio = optax.scale_by_adadelta(recipe.momentum)
            return optax.chain(clip, decay, ratio, optax.scale_by_learning_rate(rate))
        nesterov = recipe.optimizer == "nesterov"
        descent = optax.sgd(rate, recipe.momentum, nesterov=nesterov)
        return optax.chain(clip, decay, descent)

    return optax.inject_hyperparams(at_peak)(learning_rate=recipe.learning_rate)


def kernels(params: Any) -> Any:
    """Which parameters are kernels: all but biases and the scales of norms.

    Blocks that run as one loop stack theirs, so that axes alone do not tell.
    """

    def is_kernel(path, leaf):
        name = jax.tree_util.keystr(path[-1:], simple=True)
        return name not in ("bias", "scale") and jnp.ndim(leaf) > 1

    return jax.tree_util.tree_map_with_path(is_kernel, params)


def with_learning_rate(state: TrainState, learning_rate: float) -> TrainState:
    """`state` with that peak rate."""
    rate = optax.tree.get(state.opt_state, "learning_rate")
    rate = jnp.asarray(learning_rate, rate.dtype)
    return state._replace(opt_state=optax.tree.set(state.opt_state, learning_rate=rate))


def learning_rate(recipe: Recipe, total_steps: int, step: int) -> float:
    """The rate of the step that follows `step` others."""
    shape = schedules.resolve(recipe.schedule)(total_steps)
    return recipe.learning_rate * float(_share_of_peak(shape, step))


def _share_of_peak(shape: optax.Schedule, step: ArrayLike) -> Array:
    # Of an integer, optax computes some schedules in float32 whatever the precision.
    return shape(jnp.asarray(step, float))
