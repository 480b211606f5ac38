"""One side of a comparison: a name, and the flags in which it differs."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from experiments.harness.run_flags import RunFlags

BATCHES = "batch_size", "validation_fraction", "epochs", "steps"
"""The fields of a recipe that settle which images are in which step of a seed."""

# All arms take the same batches of the same images, in the same arithmetic.
_SHARED = {
    *BATCHES,
    "dataset",
    "data_dir",
    "image_size",
    "train_examples",
    "dtype",
    "pixels",
    "learning_rate",
    "seeds",
    "seed_engine",
    "keep",
    "allow_rounding",
    "workdir",
    "overwrite",
    "progress",
}


@dataclasses.dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Attributes:
        name: what tells it from the others, in tables and in files' names.
        flags: those of `RunFlags` that it sets for itself: of the net (`model`, `pool`,
            `boundary`, `downsample`), or of its training, but for its batches: a
            `recipe` of its own has to have those of the experiment's.
        learning_rates: peak rates of its own to choose from; None is the experiment's.
        flag: the experiment's that brings the arm in, which is blamed for its faults.

    Raises:
        ValueError: a flag that is none, or that all arms share.
    """

    name: str
    flags: Mapping[str, Any]
    learning_rates: tuple[float, ...] | None = None
    flag: str = "model"

    def __post_init__(self):
        allowed = {field.name for field in dataclasses.fields(RunFlags)} - _SHARED
        for name in self.flags:
            if name not in allowed:
                listed = ", ".join(sorted(allowed))
                raise ValueError(f"flags of {self.name}: {name} is not one of {listed}")

    def configured(self, config: RunFlags) -> RunFlags:
        """The flags of the experiment with the arm's own, to train it by."""
        names = [field.name for field in dataclasses.fields(RunFlags)]
        shared = {name: getattr(config, name) for name in names}
        return RunFlags(**{**shared, **self.flags})
