"""The rates of a recipe, as they are told and as they are applied."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cnnlab.training import optimizer_of
from cnnlab.training.optimizer import learning_rate


def applied(recipe, total_steps, steps):
    """The rates by which the optimizer in fact moves a parameter.

    They are what it moves by over what it would at a rate of 1.
    """
    unit = dataclasses.replace(recipe, learning_rate=1.0, schedule="constant")
    return _moves(recipe, total_steps, steps) / _moves(unit, total_steps, [0])


def _moves(recipe, total_steps, steps):
    optimizer = optimizer_of(recipe, total_steps)
    param = jnp.zeros(())
    start = optimizer.init(param)

    @jax.jit
    @jax.vmap
    def update(step):
        inner = optax.tree.set(start.inner_state, count=step)
        at = start._replace(inner_state=inner)
        return -optimizer.update(jnp.ones(()), at, param)[0]

    return np.asarray(update(jnp.asarray(steps, jnp.int32)))


def assert_rates(recipe, total_steps, wanted, rtol=1e-6):
    """At each step the rate wanted, as it is told and as it is applied."""
    rates = list(wanted.values())
    told = [learning_rate(recipe, total_steps, step) for step in wanted]
    np.testing.assert_allclose(told, rates, rtol, rtol * max(rates))
    done = applied(recipe, total_steps, list(wanted))
    np.testing.assert_allclose(done, rates, rtol, rtol * max(rates))
