"""What certificates cannot be asked for, told before anything is traced."""

from collections.abc import Sequence

from cnnlab.errors import UserError
from cnnlab.run_layout import arm_directory

LARGEST_SEED = 2**32 - 1
"""Of what is drawn."""


def refuse_same(flag: str, values: Sequence[str]) -> None:
    """Refuses what would share a record.

    Raises:
        UserError: naming the second of them.
    """
    seen: dict[str, str] = {}
    for value in values:
        other = seen.setdefault(arm_directory(value), value)
        if list(values).count(value) > 1:
            raise UserError(flag, f"{value} is given twice")
        if other != value:
            raise UserError(flag, f"{other} and {value} have the same file's name")
