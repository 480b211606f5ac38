"""Accuracy against the number of training images, for arms that differ in it."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from cnnlab.reporting import curves, style, wording

_NAMES = {"transfer": "transferred backbone", "scratch": "from scratch"}
# Starts stand side by side at a size, this much of its number apart.
_ASIDE = 1.03


def size_curves(results: Mapping) -> Figure | None:
    """A curve for each start; None where arms do not say how many images they had."""
    rows = [arm for arm in results["arms"] if "images" in arm and "start" in arm]
    if not rows:
        return None
    starts = list(dict.fromkeys(arm["start"] for arm in rows))
    with style.house():
        names = [_NAMES.get(start, start) for start in starts]
        canvas, (axes,) = style.figure(3.4, names)
        drawn = [
            _curve([arm for arm in rows if arm["start"] == start]) for start in starts
        ]
        for index, curve in enumerate(drawn):
            look = style.look(index)
            x = curve.x * _ASIDE ** (2 * index - len(drawn) + 1)
            axes.plot(x, 100 * curve.mean, **look)
            axes.vlines(x, 100 * curve.low, 100 * curve.high, color=look["color"])
        sizes = sorted({arm["images"] for arm in rows})
        axes.set_xscale("log")
        axes.set_xticks(sizes, [wording.count(size) for size in sizes])
        axes.minorticks_off()
        axes.set_xlim(sizes[0] / 1.25, sizes[-1] * 1.25)
        low, high = curves.limits(drawn)
        axes.set_ylim(max(100 * low, -2.0), min(100 * high, 102.0))
        axes.set_xlabel("training images")
        axes.set_ylabel("test accuracy, %")
    return canvas


def _curve(arms: list[Mapping]) -> curves.Curve:
    arms = sorted(arms, key=lambda arm: arm["images"])
    measured = [arm["test_accuracy"] for arm in arms]
    return curves.Curve(
        np.array([arm["images"] for arm in arms], float),
        *(
            np.array([_number(each[name]) for each in measured])
            for name in ("mean", "low", "high")
        ),
    )


def _number(value: float | None) -> float:
    return np.nan if value is None else value
