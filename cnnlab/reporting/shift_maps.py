"""What moving the image does, as maps of a grid of shifts and as a table."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
    motions = [each["motion"] for each in arms[0]["shift_maps"]]
    across = min(_ACROSS, len(arms))
    down = -(-len(arms) // across)
    with style.house():
        names = [style.wrapped(arm["name"], 48 // across) for arm in arms]
        lines = max(name.count("\n") + 1 for name in names)
        side = 3.9 / across if across > 1 else 2.2
        height = len(motions) * down * (side + 0.25 + 0.17 * lines) + 0.3
        canvas = Figure(figsize=(style.WIDTH, height), layout="constrained")
        panels = canvas.subplots(len(motions) * down, across, squeeze=False)
        maps = [each["agreement"] for arm in arms for each in arm["shift_maps"]]
        low = 100 * np.min([np.min(each) for each in maps])
        for axes in panels.flat:
            axes.set_axis_off()
        for row, motion in enumerate(motions):
            for place, (arm, name) in enumerate(zip(arms, names, strict=True)):
                axes = panels[row * down + place // across, place % across]
                image = _panel(axes, arm["shift_maps"][row], low)
                style.write(axes.set_title(" ", fontsize=9.5), name)
                if place % across == 0:
                    axes.set_ylabel(f"{_TITLES.get(motion, motion)}\ndown, pixels")
        bar = canvas.colorbar(image, ax=panels, shrink=0.7, aspect=30, pad=0.02)
        bar.set_label("images of the class they have unmoved, %")
        bar.outline.set_visible(False)
    return canvas


def caption(results: Mapping) -> str:
    """What the maps show, and what measures them again."""
    first = _measured(results)[0]
    examples = wording.count(first["shift_maps"][0]["examples"])
    over = len(first["seeds"])
    mean = f", mean over {wording.seeds(over)}" if over > 1 else ""
    return (
        f"The share of {examples} test images that keep the class they have unmoved, "
        f"at each shift{mean}; the middle is no shift. Measured by {specs(results)}."
    )


def specs(results: Mapping) -> str:
    """The protocols of the grids, each of which gives its numbers again."""
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
            moved = _TITLES.get(each["motion"], each["motion"])
            cells.append([arm["name"], moved, *texts])
    return header, cells


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
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.set_xlabel("right, pixels")
    return image
