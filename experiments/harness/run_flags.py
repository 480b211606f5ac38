"""The flags of whatever trains several seeds in a work directory."""

import dataclasses
from collections.abc import Callable

from experiments.harness import flags
from experiments.harness.directory_flags import DirectoryFlags
from experiments.harness.recipe_flags import RecipeFlags, recipe_lines
from experiments.harness.refusals import refuse_below


@dataclasses.dataclass(frozen=True)
class SeedFlags(RecipeFlags):
    """A net, images and a recipe, and how its seeds are trained."""

    seeds: int = flags.field(1, "how many; seeds are 0 to this less one")
    seed_engine: str = flags.field(
        "auto",
        "how several seeds are trained: one after the other (loop), so in one program "
        "(map), side by side (vmap), spread over devices; auto takes the fastest here, "
        "once for the run",
        choices=("auto", "loop", "map", "vmap", "devices"),
        identity=False,
    )
    keep: int = flags.field(
        2,
        "checkpoints of each seed to keep beside the best, at least 2, as a process "
        "may end between two seeds'",
        identity=False,
    )
    allow_rounding: bool = flags.field(
        False,
        "go on with a run under other versions, devices, threads or another engine, "
        "by which its numbers may differ by rounding",
        identity=False,
        repeated=False,
    )


# Fields come in the order of the bases from the last, and so do flags in `--help`.
@dataclasses.dataclass(frozen=True)
class RunFlags(DirectoryFlags, SeedFlags):
    """And where they are kept."""

    def validate(self) -> None:
        """Refuses numbers that are too small.

        Raises:
            UserError: naming the first of them.
        """
        refuse_below(self, seeds=1, image_size=1, keep=2, train_examples=1)


def run_usage(text: str) -> Callable[[], str]:
    """What gives the beginning of `--help`: a command's own text, and the recipes."""
    return lambda: f"{text}\n{recipe_lines()}"
