"""The printed table: it says what it holds, in lines that fit."""

import pytest

from cnnlab.reporting import cost_table


def row(path, name, **changes):
    return {
        "path": path,
        "name": name,
        "output_shape": [1, 4, 5, 6],
        "parameters": 0,
        "macs": 0,
        "times": 1,
        "counted": True,
        "entries": [4, 5],
        "receptive_field": [3, 3],
        "stride": [2, 2],
        "phase": [0.5, 0.5],
        "padding_share": 0.25,
        "fractional": [],
        **changes,
    }


def costs(*rows, **changes):
    return {
        "parameters": 1234,
        "unused_parameters": 0,
        "macs": 5_000_000,
        "forward_bytes": 2048,
        "training_bytes": 3 * 2**20,
        "rows": rows,
        **changes,
    }


def lines(*rows, width=100, **changes):
    return cost_table.plain(costs(*rows, **changes), width).splitlines()


def test_a_row_says_it_all():
    (line,) = lines(row("Net/Conv_0", "conv, relu", parameters=9408, macs=118013952))[
        2:3
    ]
    assert line.split() == "Conv_0, relu 4x5x6 9,408 118 M 3 2 0.5 25 %".split()


def test_layers_are_indented_under_their_module():
    names = [
        line.split("  4x5x6")[0].rstrip()
        for line in lines(
            row("Net/Conv_0", "conv"),
            row("Net/Block_0/Conv_0", "conv, relu", times=7),
            row("Net/Block_0/Inner/down", "max_pool", times=7),
            row("Net/Block_0", "add, relu", times=7),
            row("Net/Block_1/Pool_0", "max_pool", counted=False),
            row("Net/head_norm", "batch_norm", times=2),
            row("", "custom", fractional=["(8 - 3) / 2 + 1 = 3.5"]),
        )[2:]
    ]
    assert names[:11] == [
        "Conv_0",
        "Block_0 ×7",
        "  Conv_0, relu",
        "  Inner",
        "    down max_pool",
        "  add, relu",
        "Block_1",
        "  Pool_0 max_pool ?",
        "head_norm ×2",
        "custom*",
        "",
    ]


def test_what_is_whole_absent_or_unknown_has_its_word():
    (line,) = lines(
        row(
            "",
            "mystery",
            output_shape=[1],
            receptive_field=["all", None],
            stride=[None, None],
            phase=[None, None],
            padding_share=None,
        )
    )[2:3]
    assert line.split() == ["mystery", "scalar", "–", "–", "allx?", "–", "–", "?"]


def test_notes_and_totals():
    arithmetic = "(8 - 3) / 2 + 1 = 3.5"
    marked = dict(fractional=[arithmetic], counted=False)
    text = lines(
        row("Net/a", "conv", **marked),
        row("Net/b", "conv", **marked),
        unused_parameters=34,
    )
    assert f"    {arithmetic}: a and 1 more" in text
    assert any(line.startswith("? Of a loop of unknown length") for line in text)
    assert text[-4:] == [
        "parameters            1,234, of which 34 are not used here",
        "multiply-accumulates  5,000,000",
        "forward activations   2.0 KiB at most at once",
        "kept in training      3.0 MiB",
    ]


@pytest.mark.parametrize("width", [80, 90, 120])
def test_lines_fit_and_numbers_stay_whole(width):
    text = lines(
        row(
            "Net/a_module_with_a_name_of_some_length/and_a_layer",
            "max_blur_pool, softplus",
            output_shape=[1, 224, 224, 2048],
            parameters=102_764_544,
            macs=15_470_264_320,
            receptive_field=[427, 433],
        ),
        width=width,
    )
    assert max(map(len, text[:5])) <= width
    for number in ("224x224x2048", "102,764,544", "15.5 G", "427x433", "25 %"):
        assert number in text[3]
    assert ("phase" in text[0]) == (width >= 90)


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (7, "7"),
        (999, "999"),
        (1000, "1 k"),
        (12_345, "12.3 k"),
        (999_499, "999 k"),
        (999_600, "1 M"),
        (4_089_184_256, "4.09 G"),
        (2 * 10**12, "2 T"),
    ],
)
def test_large_numbers_in_short(number, word):
    assert cost_table.short(number) == word


def test_the_row_of_an_overview():
    line = cost_table.overview_row(
        {
            "model": "net",
            "input": [28, 28, 1],
            "parameters": 61706,
            "macs": 416520,
            "receptive_field": [16, 16],
            "stride": [4.0, 4.0],
        }
    )
    assert line == "| `net` | 61,706 | 416,520 | 16 | 4 | 28x28x1 |"
    columns = {text.count("|") for text in (*cost_table.OVERVIEW_HEAD, line)}
    assert columns == {7}
