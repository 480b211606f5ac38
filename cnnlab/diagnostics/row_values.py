"""What rows of operations are not made of, and what they are as JSON."""

import dataclasses
import math
from fractions import Fraction
from typing import Any

SILENT = frozenset(
    """
    broadcast_in_dim convert_element_type copy reshape squeeze transpose
    """.split()
)
"""Operations that move or convert entries, and are not worth a row."""


def row_as_json(row: Any) -> dict[str, Any]:
    """The fields of a row as JSON values, the modules of its `path` joined."""
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return {name: _json(value) for name, value in values.items()} | {
        "path": "/".join(row.path)
    }


def _json(value):
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    return "all" if value == math.inf else value
