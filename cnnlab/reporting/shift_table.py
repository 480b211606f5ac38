"""Which shifts a network's values follow, as a table for the terminal.

Takes the content of a `diagnostics.geometry.Walk` as JSON values.
"""

import io
from collections.abc import Iterator, Mapping, Sequence

import rich.box
from rich.console import Console
from rich.table import Table

from cnnlab.reporting.cost_table import along_axes
from cnnlab.reporting.wording import ABSENT

_GAP = 2


def plain(found: Mapping, width: int) -> str:
    """The table, the operations that lose shifts, and what its words mean.

    In lines of `width` characters, but for the reasons below the table.
    """
    rows = [
        (_layer(row), [cell(row, found) for cell in _COLUMNS.values()])
        for row in [*found["rows"], *found["outputs"]]
    ]
    table = Table(
        box=rich.box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1)
    )
    taken = [
        max(len(title), *(len(cells[i]) for _, cells in rows))
        for i, title in enumerate(_COLUMNS)
    ]
    # Of a line that is too long, names give way.
    room = width - sum(taken) - _GAP * len(taken)
    table.add_column("layer", no_wrap=True, overflow="ellipsis", max_width=room)
    for title in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for name, cells in rows:
        table.add_row(name, *cells)
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(table)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join([*lines, "", *_breaks(found), *_WORDS])


_WORDS = (
    "moves   with the image, by the shift over the stride; stays: is the same",
    "shifts  circular ones, along all axes at once, under which it does: all, those",
    "        by multiples of a number, or none but 0; ~: up to a roll that the image",
    "        decides",
    "margin  entries at either end that padding reaches",
)


def shifts_in_words(multiples: Sequence[int], image: Sequence[int]) -> str:
    """The shifts along each axis that are multiples of these."""
    return along_axes(
        [
            "all" if step == 1 else "none" if step == size else str(step)
            for step, size in zip(multiples, image, strict=True)
        ]
    )


def _layer(row: Mapping) -> str:
    path = row["path"].split("/")[1:] if row["path"] else []
    return " ".join(filter(None, ["/".join(path), row["name"]]))


def _shifts(row: Mapping, found: Mapping) -> str:
    exact = shifts_in_words(row["shifts"], found["image"])
    loose = shifts_in_words(row["shifts_up_to_roll"], found["image"])
    return exact if exact == loose else f"{exact} ~{loose}"


def _motion(row: Mapping, found: Mapping) -> str:
    if row["shifts_up_to_roll"] == found["image"]:
        return ABSENT
    return along_axes(["stays" if axis is None else "moves" for axis in row["axes"]])


def _margin(row: Mapping, found: Mapping) -> str:
    return along_axes(
        [None if pair is None else "{}+{}".format(*pair) for pair in row["margin"]]
    )


_COLUMNS = {
    "output": lambda row, _: "x".join(map(str, row["output_shape"][1:])) or "scalar",
    "field": lambda row, _: along_axes(row["receptive_field"], "?"),
    "stride": lambda row, _: along_axes(row["stride"]),
    "phase": lambda row, _: along_axes(row["phase"]),
    "margin": _margin,
    "": _motion,
    "shifts": _shifts,
}


def _breaks(found: Mapping) -> Iterator[str]:
    if not found["breaks"]:
        yield "Nothing loses a shift."
    else:
        yield "Shifts are lost by"
    for lost in found["breaks"]:
        before, after = (
            shifts_in_words(lost[side], found["image"]) for side in ("before", "after")
        )
        yield f"    {_layer(lost)}: {before} to {after}; {lost['why']}"
    for row in found["outputs"]:
        if row["why"]:
            yield f"{row['name']}: {row['why']}"
    yield ""
