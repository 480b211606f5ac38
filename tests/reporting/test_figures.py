import itertools
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib import image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from cnnlab.reporting import figures, style

NAMES = ["accuracy", "learning_curves", "shift_curves", "rate_curves"]


def draw(name, results, metrics):
    function = getattr(figures, name)
    return function(results, metrics) if "learning" in name else function(results)


@pytest.fixture
def drawn_texts(monkeypatch):
    """A function from a figure to each text that is drawn, and the box it fills."""
    drawn = []
    draw_text = Text.draw

    def record(text, renderer):
        if text.get_text() and text.get_visible():
            drawn.append((text.get_text(), text.get_window_extent(renderer)))
        draw_text(text, renderer)

    def texts(figure):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        monkeypatch.setattr(Text, "draw", record)
        canvas.draw()
        return drawn

    return texts


def legend_names(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count, seeds", [(3, 5), (12, 2), (1, 1)])
def test_no_text_overlaps_another_or_leaves_the_picture(
    make_results, make_metrics, long_names, drawn_texts, name, count, seeds
):
    results = make_results(long_names[:count], seeds)
    figure = draw(name, results, make_metrics(results))
    boxes = drawn_texts(figure)
    assert len(boxes) > 5
    for (one, box), (other, other_box) in itertools.combinations(boxes, 2):
        assert not box.overlaps(other_box), f"{one!r} overlaps {other!r}"
    for text, box in boxes:
        inside = figure.bbox.padded(1)
        assert inside.contains(box.x0, box.y0), text
        assert inside.contains(box.x1, box.y1), text


@pytest.mark.parametrize("name", NAMES[1:])
def test_legend_names_every_arm_and_stands_clear_of_the_data(
    make_results, make_metrics, long_names, name
):
    results = make_results(long_names, seeds=2)
    figure = draw(name, results, make_metrics(results))
    assert legend_names(figure) == long_names
    FigureCanvasAgg(figure).draw()
    legend = figure.legends[0].get_window_extent()
    for axes in figure.axes:
        assert not legend.overlaps(axes.get_window_extent())


@pytest.mark.parametrize("name", NAMES)
def test_axes_are_labelled_with_their_unit(results, make_metrics, name):
    figure = draw(name, results, make_metrics(results))
    assert figure.axes[-1].get_xlabel()
    for axes in figure.axes:
        label = axes.get_xlabel() if name == "accuracy" else axes.get_ylabel()
        assert label.endswith("accuracy, %") or label == "training loss"


def test_accuracy_shows_mean_interval_and_seeds(results):
    (axes,) = figures.accuracy(results).axes
    drawn = [np.sort(line.get_xdata()) for line in axes.get_lines()]
    for arm in results["arms"]:
        interval = arm["test_accuracy"]
        seeds = [seed["test_accuracy"] for seed in arm["seeds"]]
        for values in ([interval["mean"]], [interval["low"], interval["high"]], seeds):
            wanted = 100 * np.sort(values)
            assert any(
                line.shape == wanted.shape and np.allclose(line, wanted)
                for line in drawn
            )


def test_rate_curves_ring_the_rate_that_was_taken(results):
    (axes,) = figures.rate_curves(results).axes
    rings = [line for line in axes.get_lines() if line.get_markerfacecolor() == "none"]
    for arm, ring in zip(results["arms"], rings, strict=True):
        (chosen,) = [rate for rate in arm["rates"] if rate["chosen"]]
        np.testing.assert_allclose(
            ring.get_ydata(), [100 * chosen["validation_accuracy"]["mean"]]
        )


def test_rate_curves_leave_out_rates_at_which_training_failed(results):
    failed = {"mean": None, "low": None, "high": None, "n": 0}
    results["arms"][0]["rates"][2]["validation_accuracy"] = failed
    (axes,) = figures.rate_curves(results).axes
    points = [len(line.get_xdata()) for line in axes.get_lines()]
    assert points.count(len(results["arms"][1]["rates"])) == len(results["arms"]) - 1


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_draws_no_interval(make_results, make_metrics, name):
    results = make_results(["max_pool", "avg_pool"], seeds=1)
    figure = draw(name, results, make_metrics(results))
    for axes in figure.axes:
        for band in axes.collections:
            assert all(path.vertices.size == 0 for path in band.get_paths())
        if name == "accuracy":
            assert {len(line.get_xdata()) for line in axes.get_lines()} == {1}


def test_one_epoch_has_bars_in_place_of_bands(results, make_metrics):
    figure = figures.learning_curves(results, make_metrics(results, epochs=1))
    for axes in figure.axes:
        assert len(axes.collections) == len(results["arms"])


def test_without_validation_the_training_accuracy_is_shown(results, make_metrics):
    metrics = [row for row in make_metrics(results) if row["split"] == "train"]
    figure = figures.learning_curves(results, metrics)
    assert figure.axes[0].get_ylabel() == "train accuracy, %"


def test_what_was_not_measured_has_no_figure(make_results):
    results = make_results(["max_pool", "avg_pool"], 2, rates=(0.1,), shifts=False)
    assert figures.shift_curves(results) is None
    assert figures.rate_curves(results) is None
    assert figures.learning_curves(results, []) is None


def test_no_two_of_twelve_arms_look_alike():
    looks = [style.look(index) for index in range(12)]
    assert len({look["marker"] for look in looks}) == 12
    assert len({(look["color"], look["linestyle"]) for look in looks}) == 12


@pytest.mark.parametrize("name", NAMES)
def test_the_longest_names_stay_in_the_picture(
    make_results, make_metrics, drawn_texts, name
):
    results = make_results(["n" * 80, "lp_pool(" + "p=3.0," * 20 + ")"], seeds=2)
    figure = draw(name, results, make_metrics(results, epochs=2))
    for text, box in drawn_texts(figure):
        assert figure.bbox.padded(1).contains(box.x0, box.y0), text
        assert figure.bbox.padded(1).contains(box.x1, box.y1), text


@pytest.mark.parametrize("name", ["_hidden", "$x$", "a_{b}^c", r"\frac", "a&b<c>"])
def test_names_are_drawn_as_they_are(make_results, name):
    results = make_results([name, "max_pool"], seeds=2)
    figure = figures.shift_curves(results)
    assert legend_names(figure) == [name, "max_pool"]
    assert figures.png(figure) and figures.png(figures.accuracy(results))


@pytest.mark.parametrize(
    "name", ["max_pool", "mixed_pool(alpha=0.25,trainable=True)", "x" * 50, ""]
)
def test_wrapped_names_lose_nothing_and_are_narrow(name):
    lines = style.wrapped(name).split("\n")
    assert "".join(lines) == name
    assert max(map(len, lines)) <= 22


def test_png_is_not_blank(results, tmp_path):
    path = tmp_path / "figure.png"
    path.write_bytes(figures.png(figures.accuracy(results)))
    pixels = image.imread(path)
    assert pixels.shape[1] == round(style.WIDTH * 200)
    assert 0.001 < np.mean(np.any(pixels[..., :3] < 0.9, axis=-1)) < 0.5


def test_equal_results_give_equal_files(results):
    for write in (figures.svg, figures.png):
        drawn = [write(figures.rate_curves(results)) for _ in range(2)]
        assert drawn[0] == drawn[1]


def test_the_settings_of_the_user_are_left_alone_and_make_no_difference(results):
    wanted = figures.svg(figures.accuracy(results))
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        assert figures.svg(figures.accuracy(results)) == wanted
        assert dict(matplotlib.rcParams) == before


def test_figures_need_no_pyplot():
    code = "import sys, cnnlab.reporting.report; print(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"matplotlib.pyplot", "jax", "flax"} & set(printed.stdout.split())
