"""The printed table of shifts: it says what it holds."""

from cnnlab.reporting import shift_table


def row(path, name, **changes):
    return {
        "path": path,
        "name": name,
        "output_shape": [1, 4, 5, 6],
        "entries": [4, 5],
        "receptive_field": [3, 3],
        "stride": [2, 2],
        "phase": [0.5, 0.5],
        "margin": [[1, 0], [1, 0]],
        "axes": [1, 2],
        "shifts": [2, 2],
        "shifts_up_to_roll": [2, 2],
        "why": "",
        **changes,
    }


def lines(*rows, outputs=(), breaks=(), width=100):
    found = {"image": [8, 12], "rows": rows, "outputs": outputs, "breaks": breaks}
    return shift_table.plain(found, width).splitlines()


def test_a_row_says_it_all():
    (line,) = lines(row("Net/Pool_0", "max_pool"))[2:3]
    assert line.split() == "Pool_0 max_pool 4x5x6 3 2 0.5 1+0 moves 2".split()


def test_shifts_are_told_in_words():
    def told(**changes):
        return lines(row("", "x", **changes))[2].split("1+0  ")[1].split()

    assert told(shifts=[8, 12], shifts_up_to_roll=[8, 12]) == ["–", "none"]
    assert told(shifts=[1, 1], shifts_up_to_roll=[1, 1]) == ["moves", "all"]
    assert told(shifts=[2, 12], shifts_up_to_roll=[1, 3]) == [
        "moves",
        "2xnone",
        "~allx3",
    ]
    assert told(axes=[None, 1]) == ["staysxmoves", "2"]


def test_what_loses_shifts_is_named_with_the_reason():
    lost = {"path": "Net/Conv_0", "name": "conv", "why": "pads the map with zeros"}
    lost |= {"before": [1, 1], "after": [8, 12]}
    text = lines(
        row("Net/Conv_0", "conv"),
        outputs=[row("", "output['a']", why="keeps one entry in 2")],
        breaks=[lost],
    )
    assert "    Conv_0 conv: all to none; pads the map with zeros" in text
    assert "output['a']: keeps one entry in 2" in text
    assert "Nothing loses a shift." in lines(row("", "conv"))


def test_names_give_way_in_narrow_lines():
    text = lines(row("Net/" + "Block_0/" * 20 + "Conv_0", "conv"), width=80)
    assert max(map(len, text)) <= 80
