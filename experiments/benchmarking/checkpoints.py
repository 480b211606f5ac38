"""What a checkpoint after every epoch costs a training run."""

import functools
from collections.abc import Iterator

from experiments.benchmarking import runs
from experiments.benchmarking.timing import Row


def rows(batch_size: int) -> Iterator[Row]:
    """A run's epoch with its checkpoint, and that of the same run without."""
    # Seconds long: an epoch of half a second is none that is stored.
    for name, job in runs.settings(batch_size, times=4):
        made = functools.partial(runs.contender, job)
        yield (
            f"{name}, and its checkpoint",
            {
                "ours": functools.partial(made, checkpoints=True),
                "without": functools.partial(made, checkpoints=False),
            },
        )
