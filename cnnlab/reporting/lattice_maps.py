"""Sets of circular shifts as pictures: for a page, a terminal, and as a figure.

In each the middle is no shift. Sets are texts as results have them: a row for each
shift down, with "#" where it belongs to the set.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from cnnlab.reporting import style, wording

INSIDE, OUTSIDE = "#0072B2", "#eef1f4"

# Inches.
_LINE, _NAMES, _LARGEST_PANEL = 0.155, 1.75, 1.45
_LETTERS = 24


class Alike(NamedTuple):
    """Pools with the same certificates.

    Attributes:
        by: those of the first of them, by boundary; none where it has no net.
    """

    pools: list[str]
    by: dict[str, Mapping]


def alike(results: Mapping) -> list[Alike]:
    """The pools in groups of equal sets on every boundary, the largest sets first."""
    found: dict[str, dict[str, Mapping]] = {pool: {} for pool in results["pools"]}
    for each in results["certificates"]:
        found[each["pool"]][each["boundary"]] = each
    groups: dict[tuple, Alike] = {}
    for pool, by in found.items():
        if by:
            sets = tuple((name, tuple(each["exact"])) for name, each in by.items())
            groups.setdefault(sets, Alike([], by)).pools.append(pool)
    return sorted(
        groups.values(), key=lambda group: -sum(e["count"] for e in group.by.values())
    )


def figure(results: Mapping) -> Figure:
    """A map for each group of pools and each boundary."""
    groups, boundaries = alike(results), results["boundaries"]
    names = ["\n".join(_filled(group.pools)) for group in groups]
    panel = min(_LARGEST_PANEL, (style.WIDTH - _NAMES) / len(boundaries) - 0.1)
    heights = [
        max(panel + 0.3, _LINE * (name.count("\n") + 1) + 0.15) for name in names
    ]
    with style.house():
        canvas = Figure(figsize=(style.WIDTH, sum(heights) + 0.5), layout="constrained")
        grid = canvas.subplots(
            len(groups),
            1 + len(boundaries),
            squeeze=False,
            gridspec_kw={
                "height_ratios": heights,
                "width_ratios": [_NAMES, *[panel] * len(boundaries)],
            },
        )
        heads = [boundaries, *[[""] * len(boundaries)] * (len(groups) - 1)]
        for row, group, name, head in zip(grid, groups, names, heads, strict=True):
            row[0].set_axis_off()
            text = row[0].text(0, 0.5, " ", fontsize=8.5, verticalalignment="center")
            style.write(text, name)
            for axes, boundary, above in zip(row[1:], boundaries, head, strict=True):
                _panel(axes, group.by.get(boundary), above)
        for axes in grid[-1, 1:]:
            axes.set_xlabel("right, pixels", fontsize=8)
        for axes in grid[:, 1]:
            axes.set_ylabel("down, pixels", fontsize=8)
        for axes in grid[:, 2:].flat:
            axes.tick_params(labelleft=False)
    return canvas


def short(description: str) -> str:
    """A set in one word: "all", "4x4", "identity"; or a few, where it is irregular."""
    return description.removeprefix("lattice ").removesuffix(" alone")


def centred(rows: Sequence[str]) -> np.ndarray:
    """Whether the set has each shift, no shift in the middle."""
    shifts = np.array([[entry == "#" for entry in row] for row in rows])
    return np.roll(shifts, [size // 2 for size in shifts.shape], (0, 1))


def svg(rows: Sequence[str], label: str) -> str:
    """A small picture of the set as an SVG element."""
    shifts = centred(rows)
    height, width = shifts.shape
    path = "".join(
        f"M{start} {y}h{end - start}v1h-{end - start}z"
        for y, row in enumerate(shifts)
        for start, end in _runs(row)
    )
    return (
        f'<svg class="shifts" role="img" aria-label="{label}" '
        f'viewBox="0 0 {width} {height}" shape-rendering="crispEdges">'
        f'<rect width="{width}" height="{height}" fill="{OUTSIDE}"/>'
        f'<path d="{path}" fill="{INSIDE}"/></svg>'
    )


def braille(rows: Sequence[str]) -> list[str]:
    """The set as lines of text, of which each letter has 4 shifts down and 2 across."""
    shifts = centred(rows)
    height, width = shifts.shape
    height, width = height + -height % 4, width + -width % 2
    dots = np.zeros((height, width), int)
    dots[: shifts.shape[0], : shifts.shape[1]] = shifts
    cells = dots.reshape(height // 4, 4, width // 2, 2).swapaxes(1, 2)
    # Unicode numbers the dots of a letter so, from its first.
    weights = np.array([[1, 8], [2, 16], [4, 32], [64, 128]])
    codes = (cells * weights).sum((2, 3)) + 0x2800
    return ["".join(map(chr, line)) for line in codes]


def _panel(axes, certificate: Mapping | None, above: str) -> None:
    axes.grid(False)
    axes.tick_params(labelsize=7.5, length=2)
    title = axes.set_title(" ", fontsize=8)
    if certificate is None:
        words = wording.ABSENT
    else:
        words = short(certificate["description"])
    style.write(title, f"{above}\n{words}" if above else words)
    if certificate is None:
        axes.set_axis_off()
        axes.set_box_aspect(1)
        return
    shifts = centred(certificate["exact"])
    (top, bottom), (left, right) = (
        (-(size // 2) - 0.5, size - size // 2 - 0.5) for size in shifts.shape
    )
    axes.imshow(
        shifts,
        extent=(left, right, bottom, top),
        cmap=ListedColormap([OUTSIDE, INSIDE]),
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    axes.set_xticks([math.ceil(left), 0, math.floor(right)])
    axes.set_yticks([math.ceil(top), 0, math.floor(bottom)])


def _runs(row: np.ndarray) -> list[tuple[int, int]]:
    """Where the true entries of a row begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row, [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _filled(names: Sequence[str]) -> list[str]:
    """The names in lines, with commas, broken between them where there is room."""
    lines = [""]
    for place, name in enumerate(names):
        word = name + "," * (place < len(names) - 1)
        first, *more = style.wrapped(word, _LETTERS).split("\n")
        if lines[-1] and len(lines[-1]) + 1 + len(first) > _LETTERS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {first}".strip()
        lines += more
    return lines
