"""What ends a run because its numbers are none."""

import jax
import numpy as np

from cnnlab.errors import UserError
from cnnlab.training.state import Totals, TrainState


class NotFinite(UserError):
    """A loss or a weight of a run is not finite."""


def fault_of_loss(total: Totals) -> str | None:
    """At which step a seed's loss was first not finite, in words; None at none."""
    step = int(total.diverged_at)
    return f"the loss is not finite at step {step:,}" if step else None


def fault_of_weights(state: TrainState, step: int) -> str | None:
    """That a seed's weights are not finite after a step, in words; None if they are.

    The loss that is so is that of the next step, and the checkpoint would be lost.
    """
    weights = jax.tree.leaves(state.result)
    if all(np.isfinite(leaf).all() for leaf in weights):
        return None
    return f"the weights are not finite after step {step:,}"
