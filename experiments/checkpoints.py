"""What `--checkpoint=WORKDIR[:arm[:seed]]` means, the same in every experiment."""

from pathlib import Path
from typing import TYPE_CHECKING

from cnnlab.errors import UserError

if TYPE_CHECKING:
    from cnnlab.training.load import Loaded

HELP = (
    "net of a finished run, as WORKDIR[:arm[:seed]], such as runs/a:max_pool:0; by "
    "default the run's first arm and seed"
)


def load(words: str) -> "Loaded":
    """The net that the flag's `words` name.

    Raises:
        UserError: about `checkpoint`, for words that name no net that can be read.
    """
    from cnnlab import training

    workdir, arm, seed = _parsed(words)
    try:
        return training.load(workdir, arm, seed)
    except UserError as error:
        raise UserError("checkpoint", error.message) from error


def _parsed(words: str) -> tuple[str, str | None, int | None]:
    # A directory's own name may have colons.
    parts = words.split(":")
    for count in range(len(parts), 0, -1):
        workdir, rest = ":".join(parts[:count]), parts[count:]
        if Path(workdir).expanduser().is_dir():
            break
    else:
        raise UserError("checkpoint", f"'{parts[0]}' is not a directory")
    if len(rest) > 2:
        raise UserError("checkpoint", f"'{words}' is not WORKDIR[:arm[:seed]]")
    arm, seed = [*rest, None, None][:2]
    if seed is not None and not seed.isdecimal():
        raise UserError("checkpoint", f"the seed in '{words}' is not a number")
    return workdir, arm, None if seed is None else int(seed)
