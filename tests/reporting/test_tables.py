import subprocess
import sys

import pytest

from cnnlab.reporting import tables, verdicts


def test_every_row_has_a_cell_for_every_column(results):
    header, rows = tables.summary_rows(results)
    assert [row[0] for row in rows] == [arm["name"] for arm in results["arms"]]
    assert {len(row) for row in rows} == {len(header)}


def test_columns_that_nothing_fills_are_left_out(results):
    full, _ = tables.summary_rows(results)
    for arm in results["arms"]:
        arm["macs"] = None
        del arm["learning_rate"]
    header, rows = tables.summary_rows(results)
    assert set(full) - set(header) == {"MACs", "learning rate"}
    assert {len(row) for row in rows} == {len(header)}


def test_numbers_are_the_intervals_in_percent(results):
    _, rows = tables.summary_rows(results)
    for arm, row in zip(results["arms"], rows, strict=True):
        for cell, key in zip(row[1:4], ("test", "train", "gap"), strict=True):
            interval = arm["gap" if key == "gap" else f"{key}_accuracy"]
            mean, half_width = map(float, cell.split(" ± "))
            assert mean == pytest.approx(100 * interval["mean"], abs=0.00501)
            low = 100 * interval["low"]
            assert mean - half_width == pytest.approx(low, abs=0.01001)


def test_gap_is_found_from_the_seeds_where_it_is_not_stored(results):
    for arm in results["arms"]:
        stored = arm.pop("gap")
        assert tables.gap(arm) == pytest.approx(stored)


def test_one_seed_claims_no_interval(make_results):
    results = make_results(["max_pool", "avg_pool"], seeds=1)
    text = tables.plain(results)
    assert "±" not in text
    assert "One seed: no interval." in text
    header, (row,) = verdicts.comparison_rows(results["comparisons"])
    assert header == ["pair", "difference, points"] and len(row) == 2


@pytest.mark.parametrize("seeds", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 4, 12])
def test_plain_text_fits_a_terminal(make_results, long_names, count, seeds):
    text = tables.plain(make_results(long_names[:count], seeds))
    assert max(map(len, text.splitlines())) <= 80
    for name in long_names[:count]:
        assert name in text


def test_plain_columns_end_in_line(make_results):
    names = ["max_pool", "stochastic_pool", "lp_pool(p=3.0)", "max_blur_pool(taps=5)"]
    header, rule, *rows = tables.plain(make_results(names, seeds=3)).splitlines()[:6]
    assert [row.split()[0] for row in rows] == names
    assert {len(line) for line in (header, rule, *rows)} == {len(header)}


def test_a_name_without_room_has_its_own_line(make_results):
    name = "p" * 70
    lines = tables.plain(make_results(["max_pool", name], seeds=3)).splitlines()
    assert name in lines
    assert lines[lines.index(name) + 1].startswith(" ")


def test_differences_keep_their_sign(results):
    _, rows = verdicts.comparison_rows(results["comparisons"])
    for row, pair in zip(rows, results["comparisons"], strict=True):
        assert row[0] == f"{pair['a']} − {pair['b']}"
        assert (row[1][0] == "+") == (pair["difference"] >= 0)


def test_tables_need_no_matplotlib():
    code = "import sys, cnnlab.reporting.tables; print('matplotlib' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "False"
