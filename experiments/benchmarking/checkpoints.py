"""What a checkpoint after every epoch costs the steps."""

import itertools
import pathlib
import tempfile
from collections.abc import Iterator

from experiments.benchmarking.timing import Contender, Row


def rows(batch_size: int) -> Iterator[Row]:
    """An epoch of LeNet-5, with a checkpoint and without."""
    import jax.numpy as jnp

    from cnnlab import data, training
    from cnnlab.models import create_model
    from cnnlab.training.snapshots import Snapshots

    dataset = data.load("glyphs")
    resident = training.resident(dataset.train, training.scaling_of(dataset.train))
    index = jnp.arange(len(dataset.train.labels))
    model, optimizer = create_model("lenet5"), training.momentum_sgd(1000)

    def epochs(snapshots: Snapshots | None) -> Contender:
        held = [training.init(model, optimizer, 0, dataset.image_shape)]
        numbers = itertools.count(1)

        def run(count: int) -> None:
            for _ in range(count):
                held[0], _ = training.train_epoch(
                    model,
                    optimizer,
                    held[0],
                    resident,
                    index,
                    seed=0,
                    epoch=0,
                    batch_size=batch_size,
                )
                if snapshots is not None:
                    snapshots.save(next(numbers), held[0])

        return Contender(run)

    with (
        tempfile.TemporaryDirectory() as folder,
        Snapshots(pathlib.Path(folder)) as snapshots,
    ):
        yield (
            f"{len(index) // batch_size} steps of LeNet-5 and their checkpoint",
            {"ours": lambda: epochs(snapshots), "without": lambda: epochs(None)},
        )
