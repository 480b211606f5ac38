"""What moving the image does, as maps of a grid of shifts and as a table."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cnnlab.reporting import style, wording

_ACROSS = 3
_TITLES = {"circular": "circular", "zero": "zeros shifted in"}


def shift_maps(results: Mapping) -> Figure | None:
    """A map for each arm and way to move: how many images keep their class at a shift.

    All maps have one scale of colours. None where no grid was measured.
    """
    arms = _measured(results)
    if not arms:
        return None
    rows = _rows(arms)
    across = max(map(len, rows))
    maps = [map_["agreement"] for arm in arms for map_ in arm["shift_maps"]]
    low = 100 * min(np.min(each) for each in maps)
    with style.house():
        letters = round(50 / across)
        names = {arm["name"]: style.wrapped(arm["name"], letters) for arm in arms}
        lines = max(name.count("\n") + 1 for name in names.values())
        height = len(rows) * (4.2 / max(across, 2) + 0.2 + 0.16 * lines) + 0.9
        canvas = Figure(figsize=(style.WIDTH, height), layout="constrained")
        grid = canvas.subplots(len(rows), across, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for number, row in enumerate(rows):
            for place, (arm, map_) in enumerate(row):
                axes = grid[number, place]
                image = _panel(axes, map_, low)
                style.write(axes.set_title(" ", fontsize=9.5), names[arm["name"]])
                if place == 0 or across > len(arms):
                    axes.set_ylabel(f"{_moved(map_)}\ndown, pixels")
                below = rows[number + 1 : number + 2]
                if not below or place >= len(below[0]):
                    axes.set_xlabel("right, pixels")
        bar = canvas.colorbar(image, ax=grid, location="top", aspect=40, shrink=0.8)
        bar.set_label("images of the class they have unmoved, %")
        bar.outline.set_visible(False)
    return canvas


def _rows(arms: Sequence[Mapping]) -> list[list[tuple[Mapping, Mapping]]]:
    """The arms and their maps in rows: a way to move after the other, or the one arm's
    beside each other."""
    if len(arms) == 1:
        return [[(arms[0], map_) for map_ in arms[0]["shift_maps"]]]
    return [
        [(arm, arm["shift_maps"][motion]) for arm in arms[first : first + _ACROSS]]
        for motion in range(len(arms[0]["shift_maps"]))
        for first in range(0, len(arms), _ACROSS)
    ]


def caption(results: Mapping) -> str:
    """What the maps show, and what measures them again."""
    first = _measured(results)[0]
    examples = wording.count(first["shift_maps"][0]["examples"])
    over = len(first["seeds"])
    mean = f", mean over {wording.seeds(over)}" if over > 1 else ""
    return (
        f"The share of {examples} test images that keep the class they have unmoved, "
        f"at each shift{mean}; the middle is no shift. Measured by {grids(results)}."
    )


def grids(results: Mapping) -> str:
    """What gives the maps again, by `cnnlab.diagnostics.measuring.measure`."""
    first = _measured(results)[0]
    return wording.listed([each["grid_spec"] for each in first["shift_maps"]])


def specs(results: Mapping) -> str:
    """The protocols of the consistencies, each of which gives its numbers again."""
    first = _measured(results)[0]
    return wording.listed([each["spec"] for each in first["shift_maps"]])


def rows(results: Mapping) -> tuple[list[str], list[list[str]]]:
    """The header, and a row for every arm and way to move."""
    header = ["arm", "moved", "same class, %", "among correct, %"]
    header += ["beyond accuracy, points"]
    cells = []
    for arm in _measured(results):
        for each in arm["shift_maps"]:
            name = f"{each['motion']}_consistency"
            numbers = [
                arm.get(key)
                for key in (name, f"{name}_among_correct", f"{name}_beyond_accuracy")
            ]
            texts = [
                wording.percent_with_half_width(number) if number else wording.ABSENT
                for number in numbers
            ]
            cells.append([arm["name"], _moved(each), *texts])
    return header, cells


def _moved(map_: Mapping) -> str:
    return _TITLES.get(map_["motion"], map_["motion"])


def _measured(results: Mapping) -> Sequence[Mapping]:
    return [arm for arm in results["arms"] if arm.get("shift_maps")]


def _panel(axes, measured: Mapping, low: float):
    offsets = measured["offsets"]
    edge = 0.5
    axes.set_axis_on()
    axes.grid(False)
    image = axes.imshow(
        100 * np.asarray(measured["agreement"], float),
        extent=(
            offsets[0] - edge,
            offsets[-1] + edge,
            offsets[-1] + edge,
            offsets[0] - edge,
        ),
        cmap="cividis",
        vmin=low,
        vmax=100,
        interpolation="nearest",
    )
    ticks = sorted({offsets[0], 0, offsets[-1]})
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    return image
