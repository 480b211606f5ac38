"""Where a run begins, or goes on after an earlier process."""

from collections.abc import Callable

import jax

from cnnlab.training.state import Totals
from experiments.training.job import Job
from experiments.training.run_checkpoints import Position, RunCheckpoints


def position(
    job: Job, checkpoints: RunCheckpoints, log: Callable[[str], None]
) -> Position:
    """The last position of the run that is whole, or that of its start.

    Args:
        log: is told where a run goes on, and of every damaged checkpoint, in a line.

    Raises:
        UserError: the checkpoints are of another run.
    """
    begun = checkpoints.begun
    found = checkpoints.restore(
        jax.eval_shape(lambda: job.start()),
        on_damage=log,
        # A best net that is lost is better known now than at the end.
        needed=lambda notes: notes["step"] if job.recipe.patience else 0,
    )
    if found is not None:
        log(f"goes on from step {found.step:,} of {job.steps:,}")
        return found
    if begun:
        log("no whole checkpoint is left of every seed; the run begins anew")
    seeds = len(job.seeds)
    return Position(0, job.start(), [Totals.none()] * seeds, True, [{}] * seeds, {})
