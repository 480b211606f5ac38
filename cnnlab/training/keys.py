"""Every random key of a run, derived from (seed, role, step) and nothing else.

Any point of a run can so be reached again without replaying it, and arms that share a
seed share their initial parameters, their split and the order of their batches.
"""

import jax
from jax import Array
from jaxtyping import Key

ROLES = {
    "parameters": 0,
    "validation": 1,
    "order": 2,
    "pool": 3,
    "dropout": 4,
    "augment": 5,
    "mixup": 6,
}


def key_for(seed: int | Array, role: str, step: int | Array = 0) -> Key[Array, ""]:
    """The key of `role` (one of `ROLES`) at `step`."""
    key = jax.random.fold_in(jax.random.key(seed), ROLES[role])
    return jax.random.fold_in(key, step)
