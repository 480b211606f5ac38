"""What a network costs, as a table for the terminal.

Takes the content of a `diagnostics.cost.Table` as JSON values.
"""

import io
from collections.abc import Iterator, Mapping, Sequence

import rich.box
from rich.console import Console
from rich.table import Table

from cnnlab.reporting.wording import ABSENT

# From this width on there is room for where fields are centred.
_WIDE = 90
_GAP = 2
_UNITS = (("T", 12), ("G", 9), ("M", 6), ("k", 3))


def plain(costs: Mapping, width: int) -> str:
    """The table, what its marks mean, and the totals, in lines of `width` characters.

    Layers are indented under the module that they belong to.
    """
    left_out = set() if width >= _WIDE else {"phase"}
    titles = [title for title in _COLUMNS if title not in left_out]
    rows = [
        (name, [_COLUMNS[title](row) for title in titles] if row else [])
        for name, row in _indented(costs["rows"])
    ]
    table = Table(
        box=rich.box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1)
    )
    taken = [
        max(len(title), *(len(cells[i]) for _, cells in rows if cells))
        for i, title in enumerate(titles)
    ]
    # Of a line that is too long, names give way.
    room = width - sum(taken) - _GAP * len(taken)
    table.add_column("layer", no_wrap=True, overflow="ellipsis", max_width=room)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for name, cells in rows:
        table.add_row(name, *cells)
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(table)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join([*lines, "", *_notes(costs["rows"]), *_totals(costs)])


OVERVIEW_HEAD = (
    "| model | parameters | multiply-accumulates | receptive field | stride | for |",
    "| --- | ---: | ---: | ---: | ---: | --- |",
)


def overview_row(row: Mapping) -> str:
    """A model's row under `OVERVIEW_HEAD`: of its last map, where it has one."""
    cells = (
        f"`{row['model']}`",
        f"{row['parameters']:,}",
        f"{row['macs']:,}",
        along_axes(row["receptive_field"] or [None]),
        along_axes(row["stride"] or [None]),
        "x".join(map(str, row["input"])),
    )
    return f"| {' | '.join(cells)} |"


def short(number: int) -> str:
    """A number with three digits and the unit of thousands: 118 M."""
    for unit, power in _UNITS:
        value = number / 10**power
        if value >= 0.9995:
            return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"
    return str(number)


def memory(count: int) -> str:
    """Bytes, in units of memory."""
    return f"{count / 2**10:.1f} KiB" if count < 2**20 else f"{count / 2**20:,.1f} MiB"


def along_axes(values: Sequence, absent: str = ABSENT) -> str:
    """One value for all axes where they agree, and else all of them."""
    words = [_word(value, absent) for value in values]
    return "x".join(words if len(set(words)) > 1 else words[:1]) or ABSENT


def _indented(rows: Sequence[Mapping]) -> Iterator[tuple[str, Mapping | None]]:
    """The first cell of every row, and rows that name a module alone."""
    paths = [row["path"].split("/")[1:] if row["path"] else [] for row in rows]
    modules = {tuple(path[:i]) for path in paths for i in range(len(path))}
    times: dict[tuple[str, ...], set[int]] = {}
    for path, row in zip(paths, rows, strict=True):
        for i in range(len(path) + 1):
            times.setdefault(tuple(path[:i]), set()).add(row["times"])
    opened: tuple[str, ...] = ()
    for path, row in zip(paths, rows, strict=True):
        around = tuple(path) if tuple(path) in modules else tuple(path[:-1])
        said = 1
        for depth, module in enumerate(around):
            inside = times[around[: depth + 1]]
            often = max(inside) if len(inside) == 1 else said
            if around[: depth + 1] != opened[: depth + 1]:
                yield "  " * depth + module + _often(often, said), None
            said = often
        opened = around
        own = path[-1] if len(path) > len(around) else ""
        indent, mark = "  " * len(around), "*" if row["fractional"] else ""
        yield indent + _layer(own, row) + _often(row["times"], said) + mark, row


def _often(times: int, said: int) -> str:
    """How often something runs, where that has not been said."""
    return f" ×{times}" if times != said else ""


def _layer(own: str, row: Mapping) -> str:
    """The layer's own name, and what it does where that is not said by then."""
    first, _, rest = row["name"].partition(", ")
    plain_own, plain_first = own.lower().replace("_", ""), first.replace("_", "")
    said = plain_own.startswith(plain_first) or own.endswith(first.split("_")[-1])
    words = ([own] if own else []) + ([] if own and said else [first])
    text = " ".join(words) + (f", {rest}" if rest else "")
    return text if row["counted"] else text + " ?"


def _padded(row: Mapping) -> str:
    share = row["padding_share"]
    return "?" if share is None else f"{100 * share:.0f} %"


_COLUMNS = {
    "output": lambda row: "x".join(map(str, row["output_shape"][1:])) or "scalar",
    "parameters": lambda row: f"{row['parameters']:,}" if row["parameters"] else ABSENT,
    "MACs": lambda row: short(row["macs"]) if row["macs"] else ABSENT,
    "field": lambda row: along_axes(row["receptive_field"], "?"),
    "stride": lambda row: along_axes(row["stride"]),
    "phase": lambda row: along_axes(row["phase"]),
    "padded": _padded,
}


def _word(value, absent: str) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return absent if value is None else str(value)


def _notes(rows: Sequence[Mapping]) -> Iterator[str]:
    layers: dict[str, list[str]] = {}
    for row in rows:
        for arithmetic in row["fractional"]:
            name = "/".join(row["path"].split("/")[1:]) or row["name"]
            layers.setdefault(arithmetic, []).append(name)
    if layers:
        yield "* Not whole: the strides end short of the (padded) map."
        for arithmetic, names in layers.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield f"    {arithmetic}: {names[0]}{more}"
        yield ""
    if not all(row["counted"] for row in rows):
        yield "? Of a loop of unknown length one trip is counted, and nothing of a"
        yield "  program that JAX does not show."
        yield ""


def _totals(costs: Mapping) -> Iterator[str]:
    unused = costs["unused_parameters"]
    aside = f", of which {unused:,} are not used here" if unused else ""
    yield f"parameters            {costs['parameters']:,}{aside}"
    yield f"multiply-accumulates  {costs['macs']:,}"
    yield f"forward activations   {memory(costs['forward_bytes'])} at most at once"
    yield f"kept in training      {memory(costs['training_bytes'])}"
