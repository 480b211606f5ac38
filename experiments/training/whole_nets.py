"""Whether the nets that finished training has left can still be read."""

from collections.abc import Iterable, Mapping
from typing import Any

from cnnlab.errors import UserError
from cnnlab.training.checkpoint import Unreadable
from experiments.training.run_checkpoints import RunCheckpoints


def fault_of_nets(
    checkpoints: RunCheckpoints, records: Iterable[Mapping[str, Any]]
) -> str | None:
    """Why the first net that is missing or damaged is; None where all are whole.

    What the file system refuses is found before: `checkpoints` are open.

    Args:
        records: of the seeds, as `TrainingRun.train` gives them.

    Raises:
        Unreadable: a net may be whole, and cannot be read here.
    """
    for record in records:
        try:
            checkpoints.net(record["seed"], record["steps"])
        except Unreadable:
            raise
        except UserError as error:
            return error.message
    return None
