"""How far the image moves before the class flips, arm by arm."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cnnlab.reporting import style, wording

_TITLES = {"circular": "rolled", "zero": "zeros shifted in"}


def flip_radii(results: Mapping) -> Figure:
    """The mean flip radius of every arm, beside each other for each way to move.

    Args:
        results: arms with `circular_flip_radius`, `zero_flip_radius`.
    """
    arms = results["arms"]
    names = [style.wrapped(arm["name"], 22) for arm in arms]
    lines = sum(name.count("\n") + 1 for name in names)
    with style.house():
        canvas = Figure(figsize=(style.WIDTH, 0.85 + 0.2 * lines), layout="constrained")
        panels = canvas.subplots(1, len(_TITLES), sharex=True, sharey=True)
        for axes, (motion, title) in zip(panels, _TITLES.items(), strict=True):
            for place, arm in enumerate(arms):
                radius, look = arm[f"{motion}_flip_radius"], style.look(place)
                if radius["low"] is not None:
                    ends = radius["low"], radius["high"]
                    axes.plot(ends, (place, place), color=look["color"], linewidth=2.2)
                axes.plot(
                    radius["mean"],
                    place,
                    color=look["color"],
                    marker=look["marker"],
                    markersize=7,
                    clip_on=False,
                )
            axes.set_title(title, fontsize=10)
            axes.grid(True, axis="x")
            axes.set_xlabel("pixels")
            axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
        axes.set_yticks(range(len(arms)), names, parse_math=False)
        axes.set_ylim(len(arms) - 0.4, -0.6)
        means = [
            arm[f"{motion}_flip_radius"]["mean"] for arm in arms for motion in _TITLES
        ]
        axes.set_xlim(*_range(means, arms[0]["flip_radius_bound"]))
    return canvas


def caption(results: Mapping) -> str:
    """What the radii are."""
    first = results["arms"][0]
    bound = first["flip_radius_bound"]
    bars = ""
    if first["circular_flip_radius"]["low"] is not None:
        bars = f" Bars: {wording.CONFIDENCE} Student intervals over seeds."
    specs = wording.listed([each["grid_spec"] for each in first["shift_maps"]])
    return (
        "How far the image moves before its class first flips: the larger of the two "
        "displacements, down and to the side, mean over images; one that keeps its "
        f"class over the whole grid counts as {bound}.{bars} Measured by {specs}."
    )


def _range(means, bound: float) -> tuple[float, float]:
    """What shows all means; of an interval that is far longer, the part inside."""
    spread = max(max(means) - min(means), 0.3)
    return max(0, min(means) - spread), min(bound, max(means) + spread)
