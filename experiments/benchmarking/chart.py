"""A bar chart of the rows: each contender's time over ours."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from cnnlab.reporting import style

_MOST_TICKS = 9


def ratios(rows: Sequence[Mapping]) -> Figure:
    """A group of bars for each row; a bar to the right of 1 is slower than ours."""
    names = list(dict.fromkeys(name for row in rows for name in row["milliseconds"]))
    names.remove("ours")
    thickness = 0.8 / max(len(names), 1)
    with style.house():
        canvas, (axes,) = style.figure(1.1 + 0.13 * len(rows) * (len(names) + 1))
        for index, name in enumerate(names):
            places, values = [], []
            for place, row in enumerate(rows):
                if name in row["milliseconds"]:
                    places.append(place - 0.4 + thickness * (index + 0.5))
                    ours = row["milliseconds"]["ours"]
                    values.append(row["milliseconds"][name] / ours)
            colour = style.look(index)["color"]
            # From 1, so that faster than ours goes to the left.
            lengths = [value - 1 for value in values]
            axes.barh(places, lengths, thickness, left=1, color=colour, label=name)
        axes.axvline(1, color="black", linewidth=1)
        axes.set_xscale("log", base=2)
        # Room for the powers of two beside 1, however close the contenders are.
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, 0.5), max(high, 2))
        axes.xaxis.set_major_locator(LogLocator(base=2, numticks=_MOST_TICKS))
        axes.xaxis.set_major_formatter(FuncFormatter(_factor))
        axes.minorticks_off()
        if names:
            canvas.legend(loc="outside upper left", ncols=len(names))
        labels = [style.wrapped(row["name"], 26) for row in rows]
        axes.set_yticks(range(len(rows)), labels, parse_math=False)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(False, axis="y")
        axes.set_xlabel("time over ours (more is slower than ours)")
    return canvas


def _factor(value: float, _) -> str:
    return f"{value:g}" if value >= 1 else f"1/{1 / value:g}"
