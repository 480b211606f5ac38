"""What `--checkpoint=WORKDIR[:arm[:seed[:step]]]` means, in every experiment."""

from pathlib import Path
from typing import TYPE_CHECKING

from cnnlab.errors import UserError

if TYPE_CHECKING:
    from cnnlab.training.load import Loaded

FORM = "WORKDIR[:arm[:seed[:step]]]"
HELP = (
    f"net of a finished run, as {FORM}, such as runs/a:max_pool:0; by default the "
    "run's first arm and seed, as it was at its end"
)


def load(words: str) -> "Loaded":
    """The net that the flag's `words` name.

    Raises:
        UserError: about `checkpoint`, for words that name no net that can be read.
    """
    from cnnlab import training

    try:
        return training.load(*_parsed(words))
    except UserError as error:
        raise UserError("checkpoint", error.message) from error


def _parsed(words: str) -> tuple[str, str | None, int | None, int | None]:
    # A directory's own name may have colons.
    parts = words.split(":")
    for count in range(len(parts), 0, -1):
        workdir, rest = ":".join(parts[:count]), parts[count:]
        if Path(workdir).expanduser().is_dir():
            break
    else:
        raise UserError("checkpoint", f"'{parts[0]}' is not a directory")
    if len(rest) > 3:
        raise UserError("checkpoint", f"'{words}' is not {FORM}")
    arm, seed, step = [*rest, None, None, None][:3]
    for name, number in (("seed", seed), ("step", step)):
        if number is not None and not (number.isascii() and number.isdecimal()):
            raise UserError("checkpoint", f"the {name} in '{words}' is not a number")
    return workdir, arm, _integer(seed), _integer(step)


def _integer(text: str | None) -> int | None:
    return None if text is None else int(text)
