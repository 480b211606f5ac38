import copy

import numpy as np
import pytest

from cnnlab.reporting import report, shift_maps, tables
from cnnlab.statistics import mean_interval


def measured(results, reach=2, examples=300):
    """The results with maps, the first arm's falling fastest."""
    results = copy.deepcopy(results)
    offsets = list(range(-reach, reach + 1))
    far = np.abs(offsets)[:, None] + np.abs(offsets)
    for place, arm in enumerate(results["arms"]):
        agreement = 1 - far * 0.05 / (1 + place)
        arm["shift_maps"] = [
            {
                "motion": motion,
                "spec": f"shift({motion}, -2..2, all pairs, per image)",
                "grid_spec": f"grid(spec='shift({motion}, -2..2, all pairs)')",
                "examples": examples,
                "offsets": offsets,
                "agreement": agreement.tolist(),
            }
            for motion in ("circular", "zero")
        ]
        for motion in ("circular", "zero"):
            for index, seed in enumerate(arm["seeds"]):
                seed[f"{motion}_consistency"] = 0.8 + 0.01 * index
            values = [seed[f"{motion}_consistency"] for seed in arm["seeds"]]
            for number in ("", "_among_correct", "_beyond_accuracy"):
                interval = mean_interval(values)._asdict()
                arm[f"{motion}_consistency{number}"] = interval
    results["arms"][-1]["zero_consistency_among_correct"] = None
    return results


def test_a_map_has_a_cell_for_every_shift_in_one_scale(results):
    results = measured(results)
    canvas = shift_maps.shift_maps(results)
    images = [axes.images[0] for axes in canvas.axes if axes.images]
    assert len(images) == 2 * len(results["arms"])
    assert {image.get_clim() for image in images} == {(80.0, 100.0)}
    maps = [
        map_
        for row in (0, 1)
        for arm in results["arms"]
        for map_ in [arm["shift_maps"][row]]
    ]
    for image, map_ in zip(images, maps, strict=True):
        np.testing.assert_allclose(image.get_array(), 100 * np.array(map_["agreement"]))
        left, right, bottom, top = image.get_extent()
        # Rows go down, as the images move.
        assert (left, right, bottom, top) == (-2.5, 2.5, 2.5, -2.5)


@pytest.mark.parametrize("count", [1, 2, 12])
def test_maps_of_any_number_of_arms_are_drawn(make_results, long_names, count):
    results = measured(make_results(long_names[:count], seeds=2))
    canvas = shift_maps.shift_maps(results)
    assert sum(bool(axes.images) for axes in canvas.axes) == 2 * count
    titles = [axes.get_title().replace("\n", "") for axes in canvas.axes if axes.images]
    assert titles == 2 * long_names[:count]


def test_results_without_maps_have_none_of_it(results):
    assert shift_maps.shift_maps(results) is None
    assert shift_maps.rows(results)[1] == []
    page = report.page_of(results, [])
    assert "When the image moves" not in page and "Rolled" not in page


def test_the_table_has_every_number_or_says_that_there_is_none(results):
    results = measured(results)
    header, rows = shift_maps.rows(results)
    assert len(rows) == 2 * len(results["arms"])
    assert {len(row) for row in rows} == {len(header)}
    assert rows[0][:3] == ["max_pool", "circular", "82.00 ± 1.96"]
    assert rows[-1][3] == "–"
    page = report.page_of(results, [])
    assert "shift(zero, -2..2, all pairs, per image)" in page
    assert "300 test images" in shift_maps.caption(results)


@pytest.mark.parametrize("seeds", [1, 5])
def test_the_terminal_has_the_means_in_80_columns(make_results, long_names, seeds):
    results = measured(make_results(long_names[:4], seeds))
    text = tables.plain(results)
    assert max(map(len, text.splitlines())) <= 80
    header = text.splitlines()[0].split("  ")
    assert {"roll, %", "move, %"} <= {cell.strip() for cell in header}
    assert ("80.00" if seeds == 1 else "82.00") in text
