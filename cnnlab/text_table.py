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


def written(interval: Interval | None) -> str:
    """A mean and its interval, "-" where there is none."""
    if interval is None:
        return "-"
    if interval.low is None:
        return f"{interval.mean:.2g}"
    return f"{interval.mean:.2g} [{interval.low:.2g}, {interval.high:.2g}]"
