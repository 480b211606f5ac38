"""What certificates cannot be asked for, told before anything is traced."""

from collections.abc import Callable, Sequence
from typing import Any

from cnnlab.errors import UserError
from cnnlab.run_layout import arm_directory
from experiments.harness import networks


def refuse_unknown_pools(
    specs: Sequence[str], resolve: Callable[[str], Any], *others: str
) -> None:
    """Lets specs pass that `resolve` takes.

    Args:
        others: words that stand for pools as well.

    Raises:
        UserError: about the first that it refuses.
    """
    for spec in specs:
        try:
            resolve(spec)
        except networks.FAULTS as error:
            more = ", ".join(["", *others]) if "choose from" in str(error) else ""
            raise UserError("pools", networks.first_line(error) + more) from error


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
