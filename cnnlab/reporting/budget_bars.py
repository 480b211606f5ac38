"""What a net's change under rolls is made of: shares of its causes as stacked bars."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cnnlab.reporting import style, wording

_COLOURS = {"aliasing": "#0072B2", "boundary": "#E69F00", "head": "#009E73"}
# Of the bar's length, in percent: what a share needs to be written inside.
_ROOM = 17


def budget_bars(results: Mapping) -> Figure:
    """Each arm's change, and the share of every cause in it.

    Args:
        results: arms with `budget`, as `experiments.invariance.causes` has them.
    """
    arms = results["arms"]
    names = [style.wrapped(arm["name"], 22) for arm in arms]
    lines = sum(max(2, name.count("\n") + 1) for name in names)
    with style.house():
        canvas = Figure(figsize=(style.WIDTH, 1.0 + 0.17 * lines), layout="constrained")
        shares, change = canvas.subplots(1, 2, sharey=True, width_ratios=(3, 1))
        for place, arm in enumerate(arms):
            _shares(shares, place, arm["budget"]["shares"])
            _change(change, place, arm["budget"]["change"])
        shares.set_yticks(range(len(arms)), names, parse_math=False)
        shares.tick_params(axis="y", length=0)
        shares.set_ylim(len(arms) - 0.4, -0.6)
        shares.axvline(0, color="#444444", linewidth=0.8)
        shares.set_xlabel("share of the change, %")
        change.set_xlabel("change, %")
        change.set_xlim(0, _longest([arm["budget"]["change"] for arm in arms]))
        change.grid(True, axis="x")
        handles = [Patch(color=colour) for colour in _COLOURS.values()]
        canvas.legend(
            handles, list(_COLOURS), loc="outside upper left", ncols=len(_COLOURS)
        )
    return canvas


def caption(results: Mapping) -> str:
    """What the bars show, and what measures them again."""
    budget = results["arms"][0]["budget"]
    # Models differ in stride.
    specs = dict.fromkeys(arm["budget"]["spec"] for arm in results["arms"])
    whiskers = ""
    if budget["change"]["low"] is not None:
        whiskers = (
            f" Numbers after ± and lines: {wording.CONFIDENCE} Student intervals over "
            "seeds."
        )
    return (
        "What the class probabilities change by as the image rolls (right: their "
        "variance over rolls, relative to their squares), and the causes' shares of it "
        "(left): aliasing goes with where the sampling lattice lies; the head reads "
        "position even off maps that move as they should; the boundary makes them move "
        "otherwise, and below 0 undoes some of the others. Mean over "
        f"{wording.count(budget['examples'])} test images.{whiskers} Measured by "
        f"{wording.listed([*specs])} on the two halves of cnnlab.diagnostics.halves."
    )


def _shares(axes, place: int, shares: Mapping) -> None:
    if None in shares.values():
        axes.text(2, place, "changes by rounding alone", verticalalignment="center")
        return
    ends = {True: 0.0, False: 0.0}
    for cause, colour in _COLOURS.items():
        length = 100 * shares[cause]["mean"]
        start = ends[length >= 0]
        ends[length >= 0] += length
        axes.barh(place, length, 0.66, start, color=colour)
        if abs(length) >= _ROOM:
            axes.text(
                start + length / 2,
                place,
                _written(shares[cause]),
                color="white" if cause != "boundary" else "black",
                fontsize=8,
                horizontalalignment="center",
                verticalalignment="center",
            )


def _change(axes, place: int, change: Mapping) -> None:
    axes.barh(place, 100 * change["mean"], 0.66, color="#999999")
    if change["low"] is not None:
        ends = 100 * max(change["low"], 0), 100 * change["high"]
        axes.plot(ends, (place, place), color="#222222", linewidth=1.2)


def _longest(changes: Sequence[Mapping]) -> float:
    """What shows every bar, and of its line as much again."""
    means = max(100 * change["mean"] for change in changes)
    highs = max(100 * (change["high"] or change["mean"]) for change in changes)
    return min(1.05 * highs, 2 * means) or 1


def _written(share: Mapping) -> str:
    if share["low"] is None:
        return f"{100 * share['mean']:.0f}"
    return f"{100 * share['mean']:.0f} ± {50 * (share['high'] - share['low']):.0f}"
