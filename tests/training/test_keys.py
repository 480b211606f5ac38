"""Keys: one for every (seed, role, step), always the same."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.training import key_for

ROLES = ("parameters", "validation", "order", "pool")


def test_every_seed_role_and_step_has_its_own():
    asked = itertools.product(range(4), ROLES, range(4))
    keys = {tuple(jax.random.key_data(key_for(*each)).tolist()) for each in asked}
    assert len(keys) == 4 * len(ROLES) * 4


@pytest.mark.parametrize("role", ROLES)
def test_it_is_the_same_inside_and_outside_compiled_code(role):
    keys = (
        key_for(7, role, 3),
        key_for(jnp.int32(7), role, jnp.int32(3)),
        jax.jit(key_for, static_argnums=1)(7, role, 3),
    )
    first, *others = map(jax.random.key_data, keys)
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_step_0_is_meant_where_none_is_given():
    assert key_for(1, "order") == key_for(1, "order", 0)
