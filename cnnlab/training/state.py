"""The state of training, what it sums up, and its beginning."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from cnnlab.training.keys import key_for


class TrainState(NamedTuple):
    """All that a run is at one step, a pytree of arrays.

    `average` has the exponential moving averages of the variables, statistics too; ()
    where none are kept.
    """

    step: Int[Array, ""]
    seed: Int[Array, ""]
    params: Any
    batch_stats: Any
    opt_state: Any
    average: Any = ()

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes."""
        return variables(self.params, self.batch_stats)

    @property
    def result(self) -> dict[str, Any]:
        """What `model.apply` takes, averaged where averages are kept."""
        return self.average or self.variables


class Totals(NamedTuple):
    """Sums over training examples seen.

    `diverged_at` counts the steps up to the first whose loss was not finite, that one
    included; 0 where all were.
    """

    loss: Float[Array, ""]
    correct: Int[Array, ""]
    examples: Int[Array, ""]
    diverged_at: Int[Array, ""]

    @classmethod
    def none(cls) -> "Totals":
        """Those of no examples."""
        return cls(jnp.zeros((), jnp.float32), *jnp.zeros((3,), jnp.int32))

    def plus(self, more: "Totals") -> "Totals":
        """The sums of both, where `more` comes later."""
        first = jnp.where(self.diverged_at > 0, self.diverged_at, more.diverged_at)
        sums = jax.tree.map(jnp.add, self, more)
        return sums._replace(diverged_at=first)


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
    *,
    dtype: DTypeLike = jnp.float32,
    averaged: bool = False,
) -> TrainState:
    """The state at step 0; models that name their parameters alike begin alike.

    Args:
        dtype: of the parameters, which are drawn in float32 whatever it is.
        averaged: whether moving averages of the variables are kept.
    """
    # Op by op, and without the forward pass: arms then share what is compiled.
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    start = model.lazy_init(key_for(seed, "parameters"), images)
    start = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), start)
    params = start["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        seed=jnp.asarray(seed, jnp.int32),
        params=params,
        batch_stats=start.get("batch_stats", {}),
        opt_state=optimizer.init(params),
        # Copies, as a step gives up the buffers that it gets.
        average=jax.tree.map(jnp.copy, start) if averaged else (),
    )
