"""Measurements as lines of text."""

from collections.abc import Sequence

from cnnlab.statistics.intervals import Interval


def aligned(lines: Sequence[Sequence[str]], *, numbers: bool = False) -> list[str]:
    """Rows of cells as lines of text, their columns below one another.

    Args:
        numbers: whether all columns but the first end below one another.
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    put = [str.ljust, *[str.rjust if numbers else str.ljust] * (len(widths) - 1)]
    return [
        "  ".join(
            place(cell, width)
            for place, cell, width in zip(put, line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]


def ruled(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: bool = False,
    width: int | None = None,
) -> list[str]:
    """The header, a line below it and the rows; columns as `aligned` puts them.

    Args:
        width: of the whole; a first cell that leaves no room for the others has a line
            of its own.
    """
    columns = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    room = columns[0]
    if width is not None:
        room = width - sum(2 + column for column in columns[1:])
    short = [["" if len(name) > room else name, *cells] for name, *cells in rows]
    columns[0] = max(len(header[0]), *(len(name) for name, *_ in short), 0)
    texts = aligned([header, *short], numbers=numbers)
    put = [texts[0], "-" * (sum(columns) + 2 * (len(columns) - 1))]
    for (name, *_), text in zip(rows, texts[1:], strict=True):
        put += [name, text] if len(name) > room else [text]
    return put


def written(interval: Interval | None) -> str:
    """A mean and its interval, "-" where there is none."""
    if interval is None:
        return "-"
    if interval.low is None:
        return f"{interval.mean:.2g}"
    return f"{interval.mean:.2g} [{interval.low:.2g}, {interval.high:.2g}]"
