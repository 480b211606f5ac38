"""How every figure looks: colours, markers and lines of the arms, type and legend."""

import contextlib
import re
import textwrap
from collections.abc import Iterator, Sequence

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

# Inches. Drawn at about this width in the report, so that points are points.
WIDTH = 5.2

# Okabe and Ito (2008), "Color universal design", less the yellow, too faint on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vP*X<>hp"
_LINES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))
# As many as fit the width beside a line.
_LEGEND_LETTERS = 50

_SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.edgecolor": "#444444",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "figure.facecolor": "white",
    # Outlines, so that the pictures are the same whatever fonts the reader has.
    "svg.fonttype": "path",
    "svg.hashsalt": "cnnlab",
}


@contextlib.contextmanager
def house() -> Iterator[None]:
    """Matplotlib's defaults and this module's settings, whatever the user's are."""
    with matplotlib.style.context(["default", _SETTINGS]):
        yield


def look(index: int) -> dict:
    """Colour, marker and line of the arm at that place: no two of 12 are alike."""
    return {
        "color": _COLOURS[index % len(_COLOURS)],
        "marker": _MARKERS[index % len(_MARKERS)],
        "linestyle": _LINES[index % len(_LINES)],
    }


def wrapped(name: str, width: int = 22) -> str:
    """The name over several lines, broken between words, or where one is too long
    after a bracket, comma or underscore."""
    pieces = []
    for word in name.split(" "):
        parts = [word]
        if len(word) > width:
            parts = re.split(r"(?<=[(,_])", word)
        pieces += [*parts[:-1], parts[-1] + " "]
    lines, line = [], ""
    for piece in pieces:
        if line and len(line) + len(piece.rstrip()) > width:
            lines.append(line)
            line = ""
        line += piece
    chunks = [chunk for each in [*lines, line] for chunk in textwrap.wrap(each, width)]
    return "\n".join(chunks)


def figure(
    height: float, legend: Sequence[str] = (), rows: int = 1
) -> tuple[Figure, np.ndarray]:
    """A figure with its axes, `height` inches without the legend above them."""
    legend = [wrapped(name, _LEGEND_LETTERS) for name in legend]
    columns = _legend_columns(legend)
    rows_above = -(-sum(1 + name.count("\n") for name in legend) // columns)
    legend_height = 0.21 * rows_above
    canvas = Figure(figsize=(WIDTH, height + legend_height), layout="constrained")
    axes = canvas.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for each in axes:
        each.grid(True)
        each.tick_params(length=3)
    if legend:
        handles = [Line2D([], [], **look(index)) for index in range(len(legend))]
        drawn = canvas.legend(
            handles,
            ["arm"] * len(legend),
            loc="outside upper left",
            ncols=columns,
            columnspacing=1.4,
            handlelength=2.6,
            borderaxespad=0.2,
        )
        for text, name in zip(drawn.get_texts(), legend, strict=True):
            write(text, name)
    return canvas, axes


def write(text: Text, words: str) -> None:
    """The words on a matplotlib text as they are: "$" begins no formula in a name."""
    text.set_parse_math(False)
    text.set_text(words)


def band(axes: Axes, x, low, high, index: int) -> None:
    """The band between two curves, in the arm's colour."""
    colour = look(index)["color"]
    axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)


def _legend_columns(names: Sequence[str]) -> int:
    """The most columns, filled one after another, whose names fit the width."""
    for columns in range(len(names), 1, -1):
        rows = -(-len(names) // columns)
        longest = [
            max(map(len, names[first : first + rows]))
            for first in range(0, len(names), rows)
        ]
        # Inches: a letter of DejaVu Sans at 9.5 points, and the line before a name.
        if sum(0.083 * letters + 0.62 for letters in longest) <= WIDTH:
            return len(longest)
    return 1
