"""What operators refuse before they compute: arguments of the wrong kind."""

import numbers
from collections.abc import Iterable

import numpy as np

from cnnlab.ops.windows import ARRAYS


def check_array(name: str, value) -> None:
    """Refuses what is no array, such as a list.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, ARRAYS):
        raise TypeError(f"{name} must be an array, got {type(value).__name__}")


def check_integer(name: str, value) -> None:
    """Refuses what is not one integer; a bool is none.

    Raises:
        TypeError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} takes an integer, got {value!r}")


def check_count(name: str, value) -> None:
    """Refuses what is not one integer of at least 1.

    Raises:
        TypeError: it is not an integer.
        ValueError: it is below 1.
    """
    check_integer(name, value)
    if value < 1:
        raise ValueError(f"{name} {value} must be at least 1")


def check_number(name: str, value) -> None:
    """Refuses what is not one real number.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{name} takes a number, got {value!r}")


def check_flag(name: str, value) -> None:
    """Refuses what is neither True nor False.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} takes True or False, got {value!r}")


def check_choice(name: str, value, choices: Iterable[str]) -> None:
    """Refuses what is none of the choices.

    Raises:
        ValueError: it is not.
    """
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}; choose from {', '.join(choices)}")
