"""What each site's samples fold, and what they cost in consistency, as bars."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cnnlab.reporting import style, wording

_BAR = 0.17


def sampled(arms: Sequence[Mapping]) -> list[Mapping]:
    """The arms that have sites whose samples could follow the image."""
    return [arm for arm in arms if arm.get("sampling", {}).get("sites")]


def table(arms: Sequence[Mapping]) -> dict:
    """The numbers of every arm and site, as `own_tables` takes them.

    Args:
        arms: with `sampling`, as `experiments.invariance.thinning` has it, and sites.
    """
    rows = [
        [
            arm["name"],
            site["name"],
            _percent(site["above"]),
            _percent(site["folded"]),
            _percent(site["alone"], signed=True),
            _percent(site["shapley"], signed=True),
        ]
        for arm in arms
        for site in arm["sampling"]["sites"]
    ]
    return {
        "title": "Where samples are thinned, and what that costs",
        "header": ["arm", "site", "above, %", "folded, %", "alone", "Shapley"],
        "rows": rows,
        "note": (
            "Above: of the energy of the map before it is thinned, the share above the "
            "new Nyquist frequency. Folded: of the energy of the samples, the share "
            "that is aliases. Alone and Shapley: points of consistency under circular "
            "shifts that the site would add if the samples it keeps followed the image "
            f"(adaptive polyphase), all weights as they are{_ends(arms)}."
        ),
    }


def sampling_bars(arms: Sequence[Mapping]) -> Figure:
    """Each arm's consistency with what sites would add, and the aliases of each."""
    sites = _sites(arms)
    names = [style.wrapped(arm["name"], 22) for arm in arms]
    slots = max(len(sites), 2)
    height = 0.9 + 0.2 * -(-len(sites) // 2) + _BAR * (slots + 1) * len(arms)
    with style.house():
        canvas = Figure(figsize=(style.WIDTH, height), layout="constrained")
        cost, folded = canvas.subplots(1, 2, sharey=True, width_ratios=(5, 3))
        for place, arm in enumerate(arms):
            for number, site in enumerate(arm["sampling"]["sites"]):
                at = place + 0.8 * ((number + 0.5) / len(sites) - 0.5)
                look = _look(sites, site["name"])
                _bar(cost, at, 0.7 / len(sites), site["shapley"], look)
                _bar(folded, at, 0.7 / len(sites), site["folded"], look)
                if site["alone"] is not None:
                    mean = 100 * site["alone"]["mean"]
                    cost.plot(mean, at, **_ALONE)
        cost.axvline(0, color="#444444", linewidth=0.8)
        cost.set_xlabel("cost in consistency, points")
        folded.set_xlabel("aliases, %")
        folded.set_xlim(0, None)
        cost.set_yticks(range(len(arms)), names, parse_math=False)
        cost.set_ylim(len(arms) - 0.5, -0.5)
        for axes in (cost, folded):
            axes.tick_params(axis="y", length=0)
            axes.grid(True, axis="x")
        handles = [Patch(**_look(sites, name)) for name in sites]
        handles.append(Line2D([], [], linestyle="none", **_ALONE))
        drawn = canvas.legend(
            handles, ["site"] * len(handles), loc="outside upper left", ncols=2
        )
        for text, name in zip(drawn.get_texts(), [*sites, "alone"], strict=True):
            style.write(text, style.wrapped(name, 34))
    return canvas


def caption(arms: Sequence[Mapping]) -> str:
    """What the bars show, and what measures them again."""
    sampling = arms[0]["sampling"]
    images = wording.count(sampling["examples"])
    lines = ""
    if sampling["as_it_is"]["low"] is not None:
        lines = f" Lines: {wording.CONFIDENCE} Student intervals over seeds."
    return (
        "What the fixed lattice of samples at each site costs (left): the consistency "
        "under circular shifts that it would add if the samples that it keeps followed "
        "the image, the weights as they are; bars share what all sites add by Shapley, "
        "a ring is the site alone. Below 0 it adds none: what comes after, such as a "
        "flattening head, reads where the samples lie. Right: the share of aliases in "
        f"the energy of its samples. Mean over {images} test images.{lines} "
        f"Measured by {wording.listed(sampling['specs'])}."
    )


_ALONE = {
    "marker": "o",
    "markersize": 4,
    "markerfacecolor": "white",
    "markeredgecolor": "#222222",
    "color": "#222222",
}


def _sites(arms: Sequence[Mapping]) -> list[str]:
    """The names of all sites, in order."""
    found = (site["name"] for arm in arms for site in arm["sampling"]["sites"])
    return list(dict.fromkeys(found))


def _look(sites: Sequence[str], name: str) -> dict:
    place = sites.index(name)
    hatch = {"hatch": "////", "edgecolor": "white", "linewidth": 0}
    again = style.look(place)["color"] in (style.look(i)["color"] for i in range(place))
    return {"facecolor": style.look(place)["color"], **(hatch if again else {})}


def _bar(axes, at: float, height: float, interval: Mapping | None, look) -> None:
    if interval is None:
        return
    axes.barh(at, 100 * interval["mean"], height, **look)
    if interval["low"] is not None:
        ends = 100 * np.array([interval["low"], interval["high"]])
        axes.plot(ends, (at, at), color="#222222", linewidth=0.8)


def _ends(arms: Sequence[Mapping]) -> str:
    if arms[0]["sampling"]["as_it_is"]["low"] is None:
        return ""
    return f"; ± half the width of the {wording.CONFIDENCE} interval over seeds"


def _percent(interval: Mapping | None, signed: bool = False) -> str:
    if interval is None:
        return wording.ABSENT
    text = wording.percent_with_half_width(interval)
    if signed:
        text = f"{'+' if interval['mean'] >= 0 else ''}{text}".replace("-", "−", 1)
    return text
