"""Protocols by what their results are called."""

import re
from typing import Any

from cnnlab.diagnostics.shifts.motion import Motion, Size
from cnnlab.diagnostics.shifts.protocol import Shift
from cnnlab.diagnostics.shifts.ranges import Range
from cnnlab.ops.registry import Registry

# Functions of their options that give a protocol: published ones, and accuracy.
protocols = Registry("protocol")

FORM = "shift(MOTION, FIRST..LAST, PAIRS, per image)"


def parse(spec: Any) -> Any:
    """The protocol that a spec names; a protocol is itself.

    `shift(MOTION, DISPLACEMENTS, PAIRS, SHARED, option=...)`, where
        MOTION is circular, zero, fourier, crop (with `canvas=`, `crop=`) or embed
            (with `canvas=`): sizes are sides of squares or `24x32`;
        DISPLACEMENTS are `-3..3` along both axes, `0..0 x -3..3` down and to the right,
            or `-1..1 by 0.25` for fourier;
        PAIRS are `all pairs`, `with the unshifted` or `two draws` (with `passes=`,
            `seed=`);
        SHARED is `per image` or, of draws, `per batch of 256`.
    Any other spec is a published protocol with its options.

    Raises:
        ValueError: it is malformed, or says what cannot be.
        TypeError: it is neither text nor a protocol.
    """
    if not isinstance(spec, str):
        if not isinstance(spec, Shift) and not hasattr(spec, "measure"):
            raise TypeError(f"a protocol is a spec or made by one, got {spec!r}")
        return spec
    found = re.fullmatch(r"\s*shift\s*\((.*)\)\s*", spec)
    if found is None:
        return protocols.resolve(spec)()
    try:
        motion, ranges, pairs, shared, *options = map(str.strip, found[1].split(","))
    except ValueError:
        raise ValueError(f"malformed spec {spec!r}; write {FORM}") from None
    options = _options(options)
    rows, _, columns = ranges.partition(" x ")
    rows = Range.parse(rows)
    return Shift(
        Motion(motion, options.pop("canvas", None), options.pop("crop", None)),
        rows,
        Range.parse(columns) if columns else rows,
        pairs,
        _shared(shared),
        **options,
    )


def parse_shift(spec: str | Shift) -> Shift:
    """The shift protocol that a spec names.

    Raises:
        ValueError: as `parse`, or one that measures something else.
    """
    protocol = parse(spec)
    if not isinstance(protocol, Shift):
        raise ValueError(f"{protocol} is no shift protocol; measure() takes it")
    return protocol


def _shared(text: str) -> int | None:
    if text == "per image":
        return None
    found = re.fullmatch(r"per batch of (\d+)", text)
    if found is None:
        raise ValueError(f"{text!r}: write per image, or per batch of N")
    return int(found[1])


def _options(texts: list[str]) -> dict[str, Any]:
    readers = {"canvas": _size, "crop": _size, "passes": int, "seed": int}
    options = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in readers or name in options:
            raise ValueError(
                f"malformed option {text!r}; options are {', '.join(readers)}, each "
                "once and with its value after ="
            )
        try:
            options[name] = readers[name](value)
        except ValueError:
            raise ValueError(f"{name} cannot be {value!r}") from None
    return options


def _size(text: str) -> Size:
    height, _, width = text.partition("x")
    return int(height), int(width or height)
