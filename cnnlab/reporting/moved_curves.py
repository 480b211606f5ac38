"""Accuracy and agreement of every arm as the test image moves to the side."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cnnlab.reporting import curves, style, wording

_PANELS = {"accuracy": "test accuracy, %", "agreement": "class kept, %"}
_MOVED = {
    "circular": "what leaves on one side comes back on the other",
    "zero": "zeros come in",
}


def moved_curves(results: Mapping, motion: str) -> Figure:
    """Accuracy, and below it the images that keep their class, against the shift.

    Args:
        results: arms with `curves`, as `experiments.invariance.moving` has them.
    """
    arms = results["arms"]
    names = [arm["name"] for arm in arms]
    with style.house():
        canvas, panels = style.figure(4.6, names, rows=len(_PANELS))
        for axes, (quantity, label) in zip(panels, _PANELS.items(), strict=True):
            drawn = [_curve(_of(arm, motion), quantity) for arm in arms]
            for index, curve in enumerate(drawn):
                look = style.look(index)
                # Markers of one arm stand between those of the others.
                every = max(1, len(curve.x) // 6)
                look["markevery"] = (index % every, every)
                axes.plot(curve.x, 100 * curve.mean, **look)
                low, high = 100 * curve.low, 100 * curve.high
                style.band(axes, curve.x, low, high, index)
            low, high = curves.limits(drawn)
            axes.set_ylim(max(100 * low, -2), min(100 * high, 102))
            axes.set_ylabel(label)
        panels[-1].set_xlabel("shift of the test image to the right, pixels")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, nbins=9))
        canvas.align_ylabels()
    return canvas


def caption(results: Mapping, motion: str) -> str:
    """What the curves show, and what measures them again."""
    first = _of(results["arms"][0], motion)
    bands = ""
    if first["accuracy"]["low"][0] is not None:
        bands = f" Bands: {wording.CONFIDENCE} Student intervals over seeds."
    return (
        f"Accuracy on {wording.count(first['examples'])} test images that move to the "
        f"side, {_MOVED[motion]}; and how many keep the class they have unmoved."
        f"{bands} Measured by {first['spec']}."
    )


def _of(arm: Mapping, motion: str) -> Mapping:
    return next(each for each in arm["curves"] if each["motion"] == motion)


def _curve(measured: Mapping, quantity: str) -> curves.Curve:
    ends = (
        np.asarray(measured[quantity][end], float) for end in ("mean", "low", "high")
    )
    return curves.Curve(np.asarray(measured["shifts"]), *ends)
