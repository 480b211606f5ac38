"""The results as rows of text, and as a table for the terminal."""

import textwrap
from collections.abc import Mapping, Sequence

from cnnlab.reporting import wording
from cnnlab.statistics import mean_interval

_WIDTH = 80


def summary_rows(results: Mapping) -> tuple[list[str], list[list[str]]]:
    """The header, and one row of text for every arm.

    Accuracies are in percent, the mean ± half of its 95 % interval's width. Columns
    that no arm fills (multiply-accumulates, learning rate) are left out.
    """
    columns = {
        "arm": lambda arm: arm["name"],
        "test accuracy, %": lambda arm: _accuracy(arm, "test_accuracy"),
        "train accuracy, %": lambda arm: _accuracy(arm, "train_accuracy"),
        "gap, points": lambda arm: wording.percent_with_half_width(gap(arm)),
        "step, ms": lambda arm: wording.milliseconds(arm["step_seconds"]),
        "parameters": lambda arm: wording.count(arm["parameters"]),
        "MACs": lambda arm: wording.count(arm.get("macs")),
        "learning rate": lambda arm: learning_rate(arm.get("learning_rate")),
    }
    arms = results["arms"]
    for title, key in (("MACs", "macs"), ("learning rate", "learning_rate")):
        if all(arm.get(key) is None for arm in arms):
            del columns[title]
    rows = [[cell(arm) for cell in columns.values()] for arm in arms]
    return list(columns), rows


def comparison_rows(
    comparisons: Sequence[Mapping],
) -> tuple[list[str], list[list[str]]]:
    """The header, and one row of text for every pair of arms.

    Differences are in percentage points, with their 95 % interval.
    """
    header = ["pair", "difference, points", f"{wording.CONFIDENCE} interval"]
    header += ["p", "p (Holm)", "verdict", "seeds needed"]
    rows = [
        [
            f"{pair['a']} − {pair['b']}",
            _signed(pair["difference"]),
            _bounds(pair["low"], pair["high"]),
            wording.probability(pair["p"]),
            wording.probability(pair["p_holm"]),
            pair["verdict"],
            wording.seeds_needed(pair["seeds_needed"]),
        ]
        for pair in comparisons
    ]
    return header, rows


def plain(results: Mapping) -> str:
    """The table and the answer as text, no line over 80 characters but for names.

    A name that leaves no room for the numbers has a line of its own.
    """
    header = ["arm", "test, %", "train, %", "gap", "ms/step", "parameters"]
    rows = [
        [
            arm["name"],
            _accuracy(arm, "test_accuracy"),
            wording.percent(arm["train_accuracy"]["mean"]),
            wording.percent(gap(arm)["mean"]),
            wording.milliseconds(arm["step_seconds"]),
            wording.count(arm["parameters"]),
        ]
        for arm in results["arms"]
    ]
    lines = _aligned(header, rows)
    lines += ["", *textwrap.wrap(interval_note(results), _WIDTH)]
    lines += ["", *textwrap.wrap(wording.answer(results), _WIDTH, **_KEEP_NAMES)]
    return "\n".join(lines)


def interval_note(results: Mapping) -> str:
    """What the numbers after ± are, or that there are none."""
    numbers = sorted({arm["test_accuracy"]["n"] for arm in results["arms"]})
    if numbers == [1]:
        return "One seed: no interval."
    over = " or ".join(f"{number:,}" for number in numbers)
    return (
        f"Mean ± half the width of its {wording.CONFIDENCE} Student interval over "
        f"{over} seeds. "
        "Train accuracy is on as many images as the test's, gap is train minus test, "
        "in percentage points."
    )


def gap(arm: Mapping) -> Mapping:
    """The interval of train minus test accuracy over the arm's seeds."""
    if arm.get("gap") is not None:
        return arm["gap"]
    differences = [
        seed["train_accuracy"] - seed["test_accuracy"] for seed in arm["seeds"]
    ]
    return mean_interval(differences)._asdict()


def learning_rate(rate: float | None) -> str:
    """The rate in the shortest form that tells it from its neighbours."""
    return wording.ABSENT if rate is None else f"{rate:.4g}"


_KEEP_NAMES = {"break_long_words": False, "break_on_hyphens": False}


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    room = _WIDTH - sum(2 + width for width in widths[1:])
    widths[0] = max(
        (len(row[0]) for row in [header, *rows] if len(row[0]) <= room),
        default=len(header[0]),
    )

    def line(name: str, cells: Sequence[str]) -> str:
        numbers = "".join(
            "  " + cell.rjust(width)
            for cell, width in zip(cells, widths[1:], strict=True)
        )
        return name.ljust(widths[0]) + numbers

    lines = [line(header[0], header[1:])]
    lines.append("-" * len(lines[0]))
    for name, *cells in rows:
        if len(name) > room:
            lines.append(name)
            name = ""
        lines.append(line(name, cells))
    return lines


def _accuracy(arm: Mapping, split: str) -> str:
    return wording.percent_with_half_width(arm[split])


def _signed(difference: float) -> str:
    return f"{100 * difference:+.2f}".replace("-", "−")


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return wording.ABSENT
    return f"{_signed(low)} to {_signed(high)}"
