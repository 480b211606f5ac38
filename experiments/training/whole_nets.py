"""Whether the nets that finished training has left can still be read."""

from collections.abc import Iterable, Mapping
from typing import Any

from cnnlab.errors import UserError
from experiments.training.run_checkpoints import RunCheckpoints


def fault_of_nets(
    checkpoints: RunCheckpoints, records: Iterable[Mapping[str, Any]]
) -> str | None:
    """Why the first net that is missing or damaged is; None where all are whole.

    What the file system refuses is found by then: `checkpoints` are open.

    Args:
        records: of the seeds, as `TrainingRun.train` gives them.
    """
    for record in records:
        try:
            checkpoints.net(record["seed"], record["steps"])
        except UserError as error:
            return error.message
    return None
