"""The figures of a comparison, each a matplotlib Figure that no global state knows.

Accuracies are drawn in percent. An arm keeps its colour, marker and line throughout.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cnnlab.reporting import curves, style, tables, wording

# Above this many points a marker at each would hide the line.
_MARKED_POINTS = 20


def accuracy(results: Mapping) -> Figure:
    """Each arm's mean test accuracy with its interval, and every seed."""
    arms = results["arms"]
    with style.house():
        names = [style.wrapped(arm["name"]) for arm in arms]
        lines = sum(max(2, name.count("\n") + 1.6) for name in names)
        canvas, (axes,) = style.figure(0.75 + 0.17 * lines)
        for place, arm in enumerate(arms):
            _accuracy_row(axes, place, arm)
        axes.set_yticks(range(len(arms)), names, parse_math=False)
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(False, axis="y")
        axes.set_xlabel("test accuracy, %")
        axes.set_xlim(_possible(axes.get_xlim()))
    return canvas


def learning_curves(results: Mapping, metrics: Sequence[Mapping]) -> Figure | None:
    """Accuracy above training loss by epoch; None where either was not recorded.

    The accuracy is that on validation, or on training where none was held out.
    """
    arms = results["arms"]
    split = accuracy_split(metrics)
    panels = [
        (f"{split} accuracy, %", split, "accuracy", 100),
        ("training loss", "train", "loss", 1),
    ]
    with style.house():
        canvas, panel_axes = style.figure(4.6, _names(results), rows=2)
        for axes, (label, split, quantity, unit) in zip(
            panel_axes, panels, strict=True
        ):
            drawn = [curves.by_epoch(arm, metrics, split, quantity) for arm in arms]
            if not any(drawn):
                return None
            for index, curve in enumerate(drawn):
                if curve is not None:
                    _draw(axes, curve, index, unit)
            axes.set_ylabel(label)
            low, high = curves.limits([curve for curve in drawn if curve is not None])
            axes.set_ylim(low * unit, high * unit)
        panel_axes[0].set_ylim(_possible(panel_axes[0].get_ylim()))
        panel_axes[1].set_ylim(bottom=max(panel_axes[1].get_ylim()[0], 0))
        panel_axes[1].set_xlabel("epoch")
        panel_axes[1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        canvas.align_ylabels()
    return canvas


def accuracy_split(metrics: Sequence[Mapping]) -> str:
    """The split whose accuracy the learning curves show."""
    held_out = any(row["split"] == "validation" for row in metrics)
    return "validation" if held_out else "train"


def shift_curves(results: Mapping) -> Figure | None:
    """Test accuracy against the image's shift; None where it was not measured."""
    arms = results["arms"]
    if not any(arm.get("shift_accuracy") for arm in arms):
        return None
    with style.house():
        canvas, (axes,) = style.figure(3.0, _names(results))
        for index, arm in enumerate(arms):
            measured = arm.get("shift_accuracy")
            if measured:
                _draw(axes, _shift_curve(measured), index, 100)
        axis = next(filter(None, (arm.get("shift_accuracy") for arm in arms)))["axis"]
        axes.set_xlabel(f"{axis} shift of the test image, pixels")
        axes.set_ylabel("test accuracy, %")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=9))
        axes.set_ylim(_possible(axes.get_ylim()))
    return canvas


def rate_curves(results: Mapping) -> Figure | None:
    """Validation accuracy against learning rate; None where each arm had but one."""
    arms = results["arms"]
    tried = sorted({rate["learning_rate"] for arm in arms for rate in _rates(arm)})
    if len(tried) < 2:
        return None
    with style.house():
        canvas, (axes,) = style.figure(3.0, _names(results))
        # Arms stand side by side at a rate, over at most half the way to the next.
        step = 0.5 / max(len(arms), 6)
        for index, arm in enumerate(arms):
            aside = step * (index - (len(arms) - 1) / 2)
            _draw_rates(axes, _rates(arm), tried, aside, index)
        axes.set_xticks(
            range(len(tried)), [tables.learning_rate(rate) for rate in tried]
        )
        axes.set_xlabel("learning rate")
        axes.set_ylabel("validation accuracy, %")
        axes.set_ylim(_possible(axes.get_ylim()))
    return canvas


def svg(figure: Figure) -> str:
    """The figure as an SVG document; equal figures give equal text."""
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    buffer = io.StringIO()
    with style.house():
        figure.savefig(buffer, format="svg", metadata=empty)
    return buffer.getvalue()


def png(figure: Figure) -> bytes:
    """The figure as a PNG file of 200 dots per inch."""
    buffer = io.BytesIO()
    with style.house():
        figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
    return buffer.getvalue()


def _accuracy_row(axes, place: int, arm: Mapping) -> None:
    look = style.look(place)
    seeds = [100 * seed["test_accuracy"] for seed in arm["seeds"]]
    if len(seeds) > 1:
        ticks = {"linestyle": "none", "marker": "|", "markersize": 7}
        below = np.full(len(seeds), place + 0.22)
        axes.plot(seeds, below, color="#777777", **ticks)
    interval = arm["test_accuracy"]
    if interval["low"] is not None:
        low, high = 100 * interval["low"], 100 * interval["high"]
        axes.plot([low, high], [place, place], color=look["color"], linewidth=2.2)
    mean = 100 * interval["mean"]
    axes.plot(mean, place, color=look["color"], marker=look["marker"], markersize=7.5)
    axes.annotate(
        wording.percent(interval["mean"]),
        (1.02, place),
        xycoords=("axes fraction", "data"),
        verticalalignment="center",
        annotation_clip=False,
    )


def _draw(axes, curve: curves.Curve, index: int, unit: float) -> None:
    look = style.look(index)
    if len(curve.x) > _MARKED_POINTS:
        every = len(curve.x) // 8
        look["markevery"] = (index % every, every)
    axes.plot(curve.x, unit * curve.mean, **look)
    low, high = unit * curve.low, unit * curve.high
    if len(curve.x) == 1:
        # A band over one epoch would have no width.
        axes.vlines(curve.x, low, high, color=look["color"])
    else:
        style.band(axes, curve.x, low, high, index)


def _draw_rates(
    axes, rates: Sequence[Mapping], tried: Sequence[float], aside: float, index: int
) -> None:
    look = style.look(index)
    x = np.array([tried.index(rate["learning_rate"]) for rate in rates]) + aside
    accuracies = [rate["validation_accuracy"] for rate in rates]
    mean = np.array([100 * each["mean"] for each in accuracies])
    axes.plot(x, mean, **look)
    for place, each in zip(x, accuracies, strict=True):
        if each["low"] is not None:
            ends = 100 * each["low"], 100 * each["high"]
            axes.plot([place, place], ends, color=look["color"], linewidth=1)
    chosen = [bool(rate["chosen"]) for rate in rates]
    axes.plot(
        x[chosen],
        mean[chosen],
        linestyle="none",
        marker="o",
        markersize=12,
        markerfacecolor="none",
        markeredgecolor=look["color"],
        markeredgewidth=1.2,
    )


def _shift_curve(measured: Mapping) -> curves.Curve:
    x = np.asarray(measured["shifts"])
    mean = np.asarray(measured["mean"], dtype=float)
    absent = np.full(len(x), np.nan)
    low = absent if measured["low"] is None else np.asarray(measured["low"], float)
    high = absent if measured["high"] is None else np.asarray(measured["high"], float)
    return curves.Curve(x, mean, low, high)


def _rates(arm: Mapping) -> list[Mapping]:
    """The arm's rates in rising order, less those at which training failed."""
    tried = [
        rate
        for rate in arm.get("rates") or []
        if rate["validation_accuracy"]["mean"] is not None
    ]
    return sorted(tried, key=lambda rate: rate["learning_rate"])


def _names(results: Mapping) -> list[str]:
    return [arm["name"] for arm in results["arms"]]


def _possible(limits: tuple[float, float]) -> tuple[float, float]:
    """The limits within what a percentage can be, with room for a marker."""
    return max(limits[0], -2.0), min(limits[1], 102.0)
