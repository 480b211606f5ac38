"""What a flag's text means: the values of the types that a flag may have.

Each reader raises ValueError with the rest of the sentence that begins with the flag.
"""

import math
import types
import typing
from collections.abc import Callable
from typing import Any

_OPENING = {"(": ")", "[": "]", "{": "}"}


def read(text: str, annotation: Any, choices: tuple[str, ...] | None = None) -> Any:
    """The value of type `annotation` that `text` stands for."""
    kind = without_none(annotation)
    if kind is not annotation and text.lower() == "none":
        return None
    if typing.get_origin(kind) is not tuple:
        return _read_scalar(text, kind, choices)
    item_kind = typing.get_args(kind)[0]
    return tuple(_read_scalar(item, item_kind, choices) for item in split_list(text))


def checked(value: Any, annotation: Any, choices: tuple[str, ...] | None = None) -> Any:
    """`value` where it is of type `annotation`: an int is a float, a list a tuple."""
    kind = without_none(annotation)
    if value is None and kind is not annotation:
        return None
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{value!r} is not a list")
        item_kind = typing.get_args(kind)[0]
        return tuple(checked(item, item_kind, choices) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{value!r} is not {_ARTICLE[kind]}")
    if choices and value not in choices:
        raise ValueError(f"'{value}' is not one of {', '.join(choices)}")
    return value


def write(value: Any) -> str:
    """The text that `read` takes for `value`."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return ",".join(write(item) for item in value)
    return str(value)


def noun(annotation: Any) -> str:
    """What stands for a value of type `annotation` in a help text."""
    kind = without_none(annotation)
    if typing.get_origin(kind) is tuple:
        item = _NOUN[typing.get_args(kind)[0]]
        return f"{item},{item},..."
    return _NOUN[kind]


def as_json(value: Any, annotation: Any) -> Any:
    """`value` as its type has it, in JSON: 1 is 1.0 in a float, a tuple is a list."""
    if value is None:
        return None
    kind = without_none(annotation)
    if typing.get_origin(kind) is tuple:
        return [typing.get_args(kind)[0](item) for item in value]
    return kind(value)


def without_none(annotation: Any) -> Any:
    """The annotation without its `| None`."""
    if isinstance(annotation, types.UnionType):
        (annotation,) = set(typing.get_args(annotation)) - {type(None)}
    return annotation


def split_list(text: str) -> list[str]:
    """The items of a comma list; commas inside brackets or quotes do not separate.

    Raises:
      ValueError: an item is empty, or a bracket or quote is left open.
    """
    items, expected, start = [], [], 0
    for position, character in enumerate(text):
        if expected and expected[-1] in "'\"":
            if character == expected[-1]:
                expected.pop()
        elif character in "'\"":
            expected.append(character)
        elif character in _OPENING:
            expected.append(_OPENING[character])
        elif character in ")]}":
            if not expected or expected.pop() != character:
                raise ValueError(f"'{text}' has a '{character}' that closes nothing")
        elif character == "," and not expected:
            items.append(text[start:position].strip())
            start = position + 1
    if expected:
        raise ValueError(f"'{text}' lacks a closing {expected[-1]}")
    items.append(text[start:].strip())
    if not all(items):
        raise ValueError(f"'{text}' has an empty item; write them as a,b,c")
    return items


def _read_scalar(text: str, kind: type, choices: tuple[str, ...] | None) -> Any:
    if choices and text not in choices:
        raise ValueError(f"'{text}' is not one of {', '.join(choices)}")
    return _READERS[kind](text)


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"'{text}' is not an integer") from None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"'{text}' is not a finite number")
    return value


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except KeyError:
        raise ValueError(f"'{text}' is not true or false") from None


_READERS: dict[type, Callable[[str], Any]] = {
    int: _integer,
    float: _number,
    bool: _boolean,
    str: str,
}
_ARTICLE = {int: "an integer", float: "a number", bool: "a bool", str: "a string"}
_NOUN = {int: "INTEGER", float: "NUMBER", str: "TEXT"}
