"""What each factor adds, with intervals: arms that differ in one thing alone."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cnnlab.reporting import style, verdicts, wording

_FACTORS = {
    "augment": "training images",
    "boundary": "beyond the image",
    "pool": "pool",
    "model": "model",
}

_SHORT = {
    "test_accuracy": "test accuracy",
    "circular_consistency": "rolled, same class",
    "zero_consistency": "moved, same class",
}


def table(rows: Sequence[Mapping]) -> dict:
    """The contrasts as a table, as `own_tables` takes it, a column for each metric."""
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    found: dict[tuple[str, str], dict[str, Mapping]] = {}
    for row in rows:
        found.setdefault((row["of"], row["where"]), {})[row["metric"]] = row
    return {
        "title": "What each choice adds",
        "header": ["what differs", "at", *(_SHORT.get(m, m) for m in metrics)],
        "rows": [
            [of, where or wording.ABSENT, *(_cell(by_metric[m]) for m in metrics)]
            for (of, where), by_metric in found.items()
        ],
        "note": f"{_note(rows)} Rolled and moved: as in the table of arms.",
    }


def _note(rows: Sequence[Mapping]) -> str:
    head = "Arms that differ in one thing alone, paired by seed: differences in "
    if not _bounded(rows):
        return f"{head}percentage points. One seed: no interval, no test."
    return (
        f"{head}percentage points ± half the width of their {wording.CONFIDENCE} "
        "Student interval. * resolved, = equivalent; by Holm over the pairs that "
        "differ in the same thing, for each metric: these were chosen beforehand."
    )


def _bounded(rows: Sequence[Mapping]) -> bool:
    """Whether differences have intervals."""
    return any(row["low"] is not None for row in rows)


def answer(rows: Sequence[Mapping]) -> str:
    """For each choice, what it adds to how answers hold: the range, and how surely."""
    sentences = []
    for of in dict.fromkeys(row["of"] for row in rows):
        parts = []
        for metric, found in verdicts.by_metric(
            [row for row in rows if row["of"] == of]
        ).items():
            resolved = sum(row["verdict"] == "resolved" for row in found)
            differences = [row["difference"] for row in found]
            ends = dict.fromkeys(
                map(verdicts.signed, (min(differences), max(differences)))
            )
            parts.append(
                f"{' to '.join(ends)} points of {wording.metric(metric)} "
                f"({resolved} of {len(found)} resolved)"
            )
        sentences.append(f"{of[0].upper()}{of[1:]}: {wording.listed(parts)}.")
    return " ".join(sentences)


def contrast_plot(rows: Sequence[Mapping]) -> Figure:
    """Every contrast's difference with its interval, below what it is a contrast of."""
    groups: dict[tuple[str, str], dict[str, list[Mapping]]] = {}
    for row in rows:
        group = groups.setdefault((row["factor"], row["of"]), {})
        group.setdefault(row["where"], []).append(row)
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    sizes = [0.32 + 0.42 * len(group) for group in groups.values()]
    with style.house():
        canvas = Figure(figsize=(style.WIDTH, sum(sizes) + 1.1), layout="constrained")
        panels = canvas.subplots(
            len(groups), 1, sharex=True, squeeze=False, height_ratios=sizes
        )
        for axes, ((factor, of), group) in zip(
            panels[:, 0], groups.items(), strict=True
        ):
            title = axes.set_title(" ", fontsize=10, loc="left")
            style.write(title, f"{_FACTORS[factor]}: {of}")
            for place, row in enumerate(group.values()):
                _differences(axes, place, row, metrics)
            axes.set_yticks(range(len(group)), list(group), parse_math=False)
            axes.set_ylim(len(group) - 0.5, -0.5)
            axes.axvline(0, color="#444444", linewidth=0.8)
            axes.tick_params(axis="y", length=0)
            axes.grid(True, axis="x")
        panels[-1, 0].set_xlabel("difference, points")
        panels[-1, 0].set_xlim(*_range(rows))
        handles = [
            Line2D([], [], **{**style.look(i), "linestyle": "-"})
            for i in range(len(metrics))
        ]
        canvas.legend(
            handles,
            [wording.metric(metric) for metric in metrics],
            loc="outside upper left",
            ncols=1,
        )
    return canvas


def caption(rows: Sequence[Mapping]) -> str:
    """What the differences are."""
    if not _bounded(rows):
        return (
            "Differences of arms that differ in one thing alone. One seed: no interval."
        )
    return (
        "Differences of arms that differ in one thing alone, paired by seed, with "
        f"{wording.CONFIDENCE} Student intervals; one that meets the frame goes on "
        "beyond it. Full markers: resolved, adjusted by Holm for the pairs of a choice."
    )


def _differences(axes, place: int, rows: Sequence[Mapping], metrics) -> None:
    for row in rows:
        number = metrics.index(row["metric"])
        at = place + 0.22 * (number - (len(metrics) - 1) / 2)
        look = style.look(number)
        if row["low"] is not None:
            ends = 100 * row["low"], 100 * row["high"]
            axes.plot(ends, (at, at), color=look["color"], linewidth=1.4)
        resolved = row["verdict"] == "resolved"
        axes.plot(
            100 * row["difference"],
            at,
            color=look["color"],
            marker=look["marker"],
            markersize=6,
            markerfacecolor=look["color"] if resolved else "white",
        )


def _range(rows: Sequence[Mapping]) -> tuple[float, float]:
    """What shows every difference; of an interval that is far longer, the part."""
    means = 100 * np.array([0.0, *(row["difference"] for row in rows)])
    margin = max(0.35 * np.ptp(means), 1.0)
    return means.min() - margin, means.max() + margin


def _cell(row: Mapping) -> str:
    text = verdicts.signed(row["difference"])
    if row["low"] is not None:
        text += f" ± {50 * (row['high'] - row['low']):.2f}"
    return text + {"resolved": " *", "equivalent": " ="}.get(row["verdict"], "")
