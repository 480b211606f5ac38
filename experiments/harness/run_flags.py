"""The flags of whatever trains several seeds in a work directory."""

import dataclasses

from experiments.harness import flags
from experiments.harness.recipe_flags import RecipeFlags
from experiments.harness.refusals import refuse_below


@dataclasses.dataclass(frozen=True)
class RunFlags(RecipeFlags):
    """A net, images and a recipe, and how and where its seeds are trained."""

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
    workdir: str | None = flags.field(
        None,
        "folder of the run; none means runs/<experiment>/<hash of the flags>",
        identity=False,
    )
    overwrite: bool = flags.field(
        False, "replace the run that the folder holds", identity=False, repeated=False
    )
    progress: str = flags.field(
        "auto",
        "how to show progress; auto is a bar on a terminal and lines elsewhere",
        choices=("auto", "bar", "lines", "none"),
        identity=False,
        repeated=False,
    )

    def validate(self) -> None:
        """Refuses numbers that are too small.

        Raises:
            UserError: naming the first of them.
        """
        refuse_below(self, seeds=1, image_size=1, keep=2, train_examples=1)
