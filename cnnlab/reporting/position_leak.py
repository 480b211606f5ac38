"""What nets say of the Red-Green set where order and place agree, and at odds."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from cnnlab.reporting import style, wording

# Kayhan and van Gemert, 2020, table 1: mean and deviation over ten starts, in percent,
# as the README of their code has them.
PUBLISHED = {
    "valid": ((100.0, 0.0), (0.2, 0.1)),
    "same": ((99.8, 0.1), (8.4, 0.7)),
    "circular": ((73.7, 1.0), (73.7, 1.0)),
    "full": ((89.7, 0.5), (89.7, 0.5)),
}
_SCORES = "test_accuracy", "elsewhere_accuracy"
_TITLES = "where the class is", "in the other class' place"


def bars(results: Mapping) -> Figure:
    """For each arm both accuracies with their intervals, the published ones beside."""
    arms = results["arms"]
    with style.house():
        canvas, (axes,) = style.figure(0.9 + 0.55 * len(arms), _TITLES)
        for index, score in enumerate(_SCORES):
            look = style.look(index)
            for place, arm in enumerate(arms):
                row = place + 0.18 * (2 * index - 1)
                found = arm[score]
                axes.plot(100 * found["mean"], row, **{**look, "linestyle": "none"})
                if found["low"] is not None:
                    ends = 100 * found["low"], 100 * found["high"]
                    axes.hlines(row, *ends, color=look["color"])
                published = PUBLISHED.get(arm["name"])
                if published:
                    axes.plot(
                        published[index][0],
                        row,
                        marker="|",
                        markersize=13,
                        markeredgewidth=2,
                        color=look["color"],
                        alpha=0.45,
                        linestyle="none",
                    )
        axes.set_yticks(range(len(arms)), [arm["name"] for arm in arms])
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.set_xlim(-2, 102)
        axes.grid(False, axis="y")
        axes.set_xlabel("accuracy, %; upright bars: published")
    return canvas


def answer(results: Mapping) -> str:
    """Which nets cannot tell the places apart, and how far the others go by place."""
    leaks = {arm["name"]: arm["leak"] for arm in results["arms"]}
    blind = [
        name
        for name, leak in leaks.items()
        if leak["mean"] == 0 and leak["low"] in (None, 0)
    ]
    sentences = []
    guessing = [arm["name"] for arm in results["arms"] if _guesses(arm)]
    for names, what in (
        ([name for name in blind if name not in guessing], "place tells them nothing"),
        ([name for name in blind if name in guessing], "they may be guessing"),
    ):
        if names:
            sentences.append(
                f"Under {wording.listed(names)} padding nets score the same wherever "
                f"the squares are: {what}."
            )
    for name, leak in leaks.items():
        if name not in blind:
            points = wording.percent_with_half_width(leak)
            sentences.append(
                f"Under {name} padding they lose {points} points of accuracy where the "
                "other class is at home."
            )
    return " ".join(sentences)


def _guesses(arm: Mapping) -> bool:
    """Whether its nets may be no better than one that always says the same class."""
    accuracy = arm["test_accuracy"]
    return (accuracy["mean"] if accuracy["low"] is None else accuracy["low"]) <= 0.5


def table(results: Mapping) -> dict:
    """Both accuracies of each arm beside the published, for `own_tables`."""
    rows = []
    for arm in results["arms"]:
        published = PUBLISHED.get(arm["name"])
        rows.append(
            [
                arm["name"],
                *(wording.percent_with_half_width(arm[score]) for score in _SCORES),
                *(
                    f"{mean:.1f} ± {deviation:.1f}"
                    for mean, deviation in published or ()
                ),
                wording.percent_with_half_width(arm["leak"]),
            ]
        )
    return {
        "title": "Does place decide?",
        "header": [
            "padding",
            "its place, %",
            "other, %",
            "published",
            "published",
            "leak, points",
        ],
        "rows": rows,
        "note": (
            "Accuracy on new images whose squares are where their class always is, and "
            "on the same images half an image further down, where the other class' "
            "squares are; then both as published. Leak: the first less the second; 0 "
            "says that the net cannot tell the places apart. Ours: mean ± half of the "
            "95 % interval over seeds, if there are several, measured by "
            f"{results['arms'][0]['elsewhere_spec']}. "
            "Published: Kayhan and van Gemert, 2020, mean ± deviation over ten starts; "
            "their generator starts from the same seed in each call, so that test "
            "images were trained on, while ours has no image twice; their circular "
            "convolution was given two entries of padding where ours has one."
        ),
    }
