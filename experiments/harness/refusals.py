"""What commands refuse of their flags alike, by the name of the flag."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from cnnlab.errors import UserError


def refuse_below(config: Any, **least: int) -> None:
    """Lets numbers pass that are none, or no less than the least of that name.

    Raises:
        UserError: naming the first flag that is less.
    """
    for name, number in least.items():
        value = getattr(config, name)
        if value is not None and value < number:
            raise UserError(name, f"{value} is less than {number}")


def refuse_given(config: Any, names: Sequence[str], reason: str) -> None:
    """Lets a configuration pass in which these flags are what they are by default.

    Raises:
        UserError: naming the first flag that is not, for this reason.
    """
    defaults = {item.name: item.default for item in dataclasses.fields(config)}
    for name in names:
        if getattr(config, name) != defaults[name]:
            raise UserError(name, reason)
