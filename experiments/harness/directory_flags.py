"""The flags of whatever keeps its results in a work directory."""

import dataclasses

from experiments.harness import flags


@dataclasses.dataclass(frozen=True)
class DirectoryFlags:
    """Where a run keeps what it finds, and how it shows that it goes on."""

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
