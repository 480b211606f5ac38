"""What is drawn of arms over their costs, in the places and looks that they have."""

import pytest

from cnnlab.reporting import figures
from cnnlab.reporting.cost_scatter import caption, cost_scatter

METRICS = "test_accuracy", "circular_consistency"


def interval(mean, half):
    ends = (None, None) if half is None else (mean - half, mean + half)
    n = 1 if half is None else 3
    return {"mean": mean, "low": ends[0], "high": ends[1], "n": n}


def results(half=0.02):
    return {
        "arms": [
            {
                "name": f"{kind}_{group}",
                "macs": 1_000_000 * (1 + 4 * i + j),
                "step_seconds": 0.01 * (1 + i + 2 * j),
                "test_accuracy": interval(0.5 + 0.1 * i - 0.05 * j, half),
                "circular_consistency": interval(0.4 + 0.2 * j, half),
            }
            for i, kind in enumerate(("stride", "pool"))
            for j, group in enumerate(("a", "b"))
        ]
    }


PLACES = {arm["name"]: tuple(arm["name"].split("_")) for arm in results()["arms"]}


def drawn(axes, many):
    return [line for line in axes.lines if len(line.get_xdata()) == many]


def test_every_arm_has_its_place_in_every_panel():
    figure = cost_scatter(results(), PLACES, METRICS)
    panels = iter(figure.axes)
    for metric in METRICS:
        for cost, unit in (("macs", 1e6), ("step_seconds", 1e-3)):
            axes = next(panels)
            markers, bars = drawn(axes, 1), drawn(axes, 2)
            for arm, marker, bar in zip(results()["arms"], markers, bars, strict=True):
                amount, found = arm[cost] / unit, arm[metric]
                assert marker.get_xdata()[0] == pytest.approx(amount)
                assert marker.get_ydata()[0] == pytest.approx(100 * found["mean"])
                assert list(bar.get_xdata()) == [pytest.approx(amount)] * 2
                ends = [100 * found["low"], 100 * found["high"]]
                assert list(bar.get_ydata()) == pytest.approx(ends)
    assert not list(panels)


def test_a_kind_has_one_marker_and_a_group_one_colour():
    figure = cost_scatter(results(), PLACES)
    looks = {
        PLACES[arm["name"]]: (line.get_marker(), line.get_color())
        for arm, line in zip(results()["arms"], drawn(figure.axes[0], 1), strict=True)
    }
    for part, kinds in ((0, ("stride", "pool")), (1, ("a", "b"))):
        seen = [
            {look[part] for at, look in looks.items() if at[part] == k} for k in kinds
        ]
        assert [len(each) for each in seen] == [1, 1] and seen[0] != seen[1]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["stride", "pool", "a", "b"]


def test_colours_have_no_entry_where_there_is_one_group():
    one = {"arms": results()["arms"][::2]}
    figure = cost_scatter(one, {k: v for k, v in PLACES.items() if v[1] == "a"})
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["stride", "pool"]


def test_one_seed_has_no_bars_and_the_caption_says_so():
    figure = cost_scatter(results(half=None), PLACES, METRICS)
    assert not any(drawn(axes, 2) for axes in figure.axes)
    assert "One seed" in caption(results(half=None))
    assert "95" in caption(results())


def test_equal_results_give_equal_pictures():
    first, second = (figures.svg(cost_scatter(results(), PLACES)) for _ in range(2))
    assert first == second
