"""What sites cost and fold: every number in its place, and no interval of one seed."""

import pytest

from cnnlab.reporting.sampling_bars import caption, sampled, sampling_bars, table


def interval(mean, half):
    low, high = (None, None) if half is None else (mean - half, mean + half)
    return {"mean": mean, "low": low, "high": high, "n": 1 if half is None else 3}


def arm(name, *sites, half=0.01):
    rows = [
        {
            "name": site,
            "strides": [2, 2],
            "above": interval(0.3 + place, half),
            "folded": None if place else interval(0.2, half),
            "alone": interval(0.05, half),
            "shapley": interval(-0.04 * (1 + place), half),
        }
        for place, site in enumerate(sites)
    ]
    ends = {"as_it_is": interval(0.7, half), "following": interval(0.8, half)}
    return {
        "name": name,
        "sampling": {"sites": rows, "specs": ["x()", "y()"], "examples": 8, **ends},
    }


ARMS = [arm("max", "Pool_0", "Pool_1"), arm("avg", "Pool_0")]


def test_each_site_has_its_bars_and_what_is_unknown_has_none():
    cost, folded = sampling_bars(ARMS).axes
    assert [bar.get_width() for bar in cost.patches] == pytest.approx([-4, -8, -4])
    assert [bar.get_width() for bar in folded.patches] == pytest.approx([20, 20])
    rings = [line for line in cost.lines if line.get_marker() == "o"]
    assert [ring.get_xdata()[0] for ring in rings] == pytest.approx([5, 5, 5])
    ends = [line.get_xdata() for line in folded.lines]
    assert [list(end) for end in ends] == [pytest.approx([19, 21])] * 2


def test_the_table_has_a_row_for_each_site_of_each_arm():
    rows = table(ARMS)["rows"]
    assert [row[:2] for row in rows] == [
        ["max", "Pool_0"],
        ["max", "Pool_1"],
        ["avg", "Pool_0"],
    ]
    assert rows[0][2:] == ["30.00 ± 1.00", "20.00 ± 1.00", "+5.00 ± 1.00"] + [
        "−4.00 ± 1.00"
    ]
    assert rows[1][3] == "–"


def test_of_one_seed_no_interval_is_claimed():
    single = [arm("max", "Pool_0", half=None)]
    for text in (caption(single), table(single)["note"]):
        assert "interval" not in text and "±" not in text
    assert "interval" in caption(ARMS) and "±" in table(ARMS)["note"]
    _, folded = sampling_bars(single).axes
    assert not folded.lines


def test_arms_without_such_sites_are_left_out():
    bare = {"name": "exact", "sampling": {"sites": []}}
    assert sampled([bare, ARMS[0], {"name": "unasked"}]) == [ARMS[0]]
