"""After which layer equivariance is lost, as bars."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cnnlab.reporting import style, wording

_LABELS = {
    "map": "equivariance error",
    "invariant": "squared rate of change",
}
_UNITS = {
    "translation": "1 / pixel²",
    "rotation": "1 / radian²",
    "scale": "1 / (factor of e)²",
}
_BAR = 0.09


def tomography_bars(
    arms: Sequence[tuple[int, Mapping]], names: Sequence[str], transformation: str
) -> Figure:
    """The error of every layer's output, a bar for each arm of one model.

    Maps, which should move with the image, stand above, what has lost its places and
    should not change, below.

    Args:
        arms: with `tomography`, each after its place among all, which gives its look.
        names: of these arms.
    """
    layers = arms[0][1]["tomography"]["layers"][transformation]
    kinds = [kind for kind in _LABELS if any(row["kind"] == kind for row in layers)]
    rows = {
        kind: [i for i, row in enumerate(layers) if row["kind"] == kind]
        for kind in kinds
    }
    with style.house():
        heights = [max(0.26, _BAR * len(arms) + 0.08) * len(rows[k]) for k in kinds]
        height = sum(heights) + 0.65 * len(kinds) + 0.2 * -(-len(arms) // 2)
        canvas = Figure(figsize=(style.WIDTH, height), layout="constrained")
        panels = canvas.subplots(len(kinds), 1, squeeze=False, height_ratios=heights)
        for axes, kind in zip(panels[:, 0], kinds, strict=True):
            _panel(axes, arms, transformation, rows[kind])
            unit = f", {_UNITS[transformation]}" if kind == "invariant" else ""
            axes.set_xlabel(_LABELS[kind] + unit)
            axes.set_yticks(
                range(len(rows[kind])), [layers[i]["layer"] for i in rows[kind]]
            )
        _legend(canvas, arms, names)
    return canvas


def caption(arm: Mapping, transformation: str, model: str) -> str:
    """What the bars show, and what measures them again."""
    bars = ""
    errors = [row["error"] for row in arm["tomography"]["layers"][transformation]]
    if any(error and error["low"] is not None for error in errors):
        bars = f" Lines: {wording.CONFIDENCE} Student intervals over seeds."
    return (
        f"{model} under {transformation} of the image: how far what each layer gives "
        "is from moving along, by everything up to it: 0 where it moves exactly as the "
        "image does, 1 where it does so no more than by chance. Where entries have no "
        "place any more, the squared rate at which they change, relative to their "
        f"square. Mean over {wording.count(arm['tomography']['examples'])} test images."
        f"{bars} Measured by {arm['tomography']['spec']}."
    )


def _panel(axes, arms, transformation: str, rows: Sequence[int]) -> None:
    step = 0.8 / len(arms)
    longest = 0.0
    for number, (place, arm) in enumerate(arms):
        layers = arm["tomography"]["layers"][transformation]
        errors = [layers[i]["error"] for i in rows]
        y = np.arange(len(rows)) + step * (number - (len(arms) - 1) / 2)
        means = [np.nan if each is None else each["mean"] for each in errors]
        longest = max([longest, *means])
        axes.barh(y, means, 0.86 * step, **_fill(place))
        for at, each in zip(y, errors, strict=True):
            if each is not None and each["low"] is not None:
                ends = max(each["low"], 0), each["high"]
                axes.plot(ends, (at, at), color="#222222", linewidth=0.8)
    axes.set_xlim(0, 1.25 * longest or 1)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(True, axis="x")
    axes.tick_params(axis="y", length=0)


def _fill(place: int) -> dict:
    """The arm's colour; hatched where the colours begin again."""
    first = style.look(0)["color"]
    places = [i for i in range(1, place + 1) if style.look(i)["color"] == first]
    hatch = {"hatch": 4 * "/", "edgecolor": "white", "linewidth": 0} if places else {}
    return {"facecolor": style.look(place)["color"], **hatch}


def _legend(canvas, arms, names) -> None:
    handles = [Patch(**_fill(place)) for place, _ in arms]
    drawn = canvas.legend(
        handles, ["arm"] * len(arms), loc="outside upper left", ncols=2
    )
    for text, name in zip(drawn.get_texts(), names, strict=True):
        style.write(text, style.wrapped(name, 30))
