"""Measurements as lines of text."""

from cnnlab.statistics.intervals import Interval


def aligned(lines: list[tuple[str, ...]]) -> str:
    """Rows of cells as text, their columns below one another."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def written(interval: Interval | None) -> str:
    """A mean and its interval, "-" where there is none."""
    if interval is None:
        return "-"
    if interval.low is None:
        return f"{interval.mean:.2g}"
    return f"{interval.mean:.2g} [{interval.low:.2g}, {interval.high:.2g}]"
