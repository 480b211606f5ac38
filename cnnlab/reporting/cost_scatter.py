"""What arms achieve against what they cost: a marker for each kind, a colour for each
group of arms."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cnnlab.reporting import style, wording

# Of a cost: what its axis says, and the amount of one of its units.
_COSTS = {
    "macs": ("multiply-accumulates, millions", 1e6),
    "step_seconds": ("training step, ms", 1e-3),
}
_AXES = {
    "test_accuracy": "test accuracy, %",
    "circular_consistency": "rolled,\nsame class, %",
    "zero_consistency": "moved,\nsame class, %",
}


def cost_scatter(
    results: Mapping,
    places: Mapping[str, tuple[str, str]],
    metrics: Sequence[str] = ("test_accuracy",),
) -> Figure:
    """Each arm's means and intervals over multiply-accumulates and over step time.

    Args:
        places: the kind and the group of each arm, by its name.
        metrics: what has a row of panels each, of what all arms have an interval of.
    """
    kinds = list(dict.fromkeys(kind for kind, _ in places.values()))
    groups = list(dict.fromkeys(group for _, group in places.values()))
    with style.house():
        canvas = Figure(
            figsize=(style.WIDTH, 0.75 + 1.75 * len(metrics)), layout="constrained"
        )
        panels = canvas.subplots(
            len(metrics), len(_COSTS), sharex="col", sharey="row", squeeze=False
        )
        for row, metric in zip(panels, metrics, strict=True):
            row[0].set_ylabel(_AXES.get(metric, f"{wording.metric(metric)}, %"))
            for axes, cost in zip(row, _COSTS, strict=True):
                axes.grid(True)
                axes.tick_params(length=3)
                axes.margins(0.12)
                for arm in results["arms"]:
                    kind, group = places[arm["name"]]
                    look = _look(kinds.index(kind), groups.index(group))
                    _draw(axes, arm[cost] / _COSTS[cost][1], arm[metric], look)
        for axes, (label, _) in zip(panels[-1], _COSTS.values(), strict=True):
            axes.set_xlabel(label)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        _legend(canvas, kinds, groups)
    return canvas


def caption(results: Mapping) -> str:
    """What the panels show."""
    if all(arm["test_accuracy"]["n"] == 1 for arm in results["arms"]):
        bars = "One seed: no interval."
    else:
        bars = f"Bars: {wording.CONFIDENCE} Student intervals over seeds."
    return (
        "What each arm achieves against what it costs: multiply-accumulates of an "
        f"image, counted, and the time of a training step, measured. {bars}"
    )


def _look(kind: int, group: int) -> dict:
    return {
        "marker": style.look(kind)["marker"],
        "color": style.look(group)["color"],
        "linestyle": "none",
        "markersize": 7,
    }


def _draw(axes, amount: float, interval: Mapping, look: Mapping) -> None:
    if interval["low"] is not None:
        ends = 100 * interval["low"], 100 * interval["high"]
        axes.plot([amount, amount], ends, color=look["color"], linewidth=1.6)
    axes.plot(amount, 100 * interval["mean"], **look)


def _legend(canvas: Figure, kinds: Sequence[str], groups: Sequence[str]) -> None:
    """Markers of the kinds, and colours of the groups where there are several."""
    entries = {kind: _look(place, 0) for place, kind in enumerate(kinds)}
    if len(groups) > 1:
        entries = {name: {**look, "color": "#444444"} for name, look in entries.items()}
        for place, group in enumerate(groups):
            entries[group] = {**_look(0, place), "marker": "|", "markeredgewidth": 6}
    handles = [Line2D([], [], **look) for look in entries.values()]
    drawn = canvas.legend(
        handles,
        ["arm"] * len(entries),
        loc="outside upper left",
        ncols=4,
        columnspacing=1.4,
        handletextpad=0.3,
        borderaxespad=0.2,
    )
    for text, name in zip(drawn.get_texts(), entries, strict=True):
        style.write(text, name)
