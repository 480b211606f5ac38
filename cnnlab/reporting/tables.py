"""The results as rows of text, and as a table for the terminal."""

import textwrap
from collections.abc import Mapping

from cnnlab.reporting import answers, wording
from cnnlab.statistics import mean_interval
from cnnlab.text_table import ruled

_WIDTH = 80


def summary_rows(results: Mapping) -> tuple[list[str], list[list[str]]]:
    """The header, and one row of text for every arm.

    Accuracies are in percent, the mean ± half of its 95 % interval's width. Columns
    that no arm fills (consistencies, multiply-accumulates, learning rate) are left out.
    """
    columns = {
        "arm": lambda arm: arm["name"],
        "test accuracy, %": lambda arm: _accuracy(arm, "test_accuracy"),
        "train accuracy, %": lambda arm: _accuracy(arm, "train_accuracy"),
        "gap, points": lambda arm: wording.percent_with_half_width(gap(arm)),
        "rolled, %": lambda arm: _accuracy(arm, _ROLLED),
        "moved, %": lambda arm: _accuracy(arm, _MOVED),
        "step, ms": lambda arm: wording.milliseconds(arm["step_seconds"]),
        "parameters": lambda arm: wording.count(arm["parameters"]),
        "MACs": lambda arm: wording.count(arm.get("macs")),
        "learning rate": lambda arm: learning_rate(arm.get("learning_rate")),
    }
    arms = results["arms"]
    for title, key in (
        ("rolled, %", _ROLLED),
        ("moved, %", _MOVED),
        ("MACs", "macs"),
        ("learning rate", "learning_rate"),
    ):
        if all(arm.get(key) is None for arm in arms):
            del columns[title]
    rows = [[cell(arm) for cell in columns.values()] for arm in arms]
    return list(columns), rows


def plain(results: Mapping) -> str:
    """The table and the answer as text, no line over 80 characters but for names.

    A name that leaves no room for the numbers has a line of its own.
    """
    columns = {
        "arm": lambda arm: arm["name"],
        "test, %": lambda arm: _accuracy(arm, "test_accuracy"),
        "train, %": lambda arm: wording.percent(arm["train_accuracy"]["mean"]),
        "gap": lambda arm: wording.percent(gap(arm)["mean"]),
        "ms/step": lambda arm: wording.milliseconds(arm["step_seconds"]),
        "parameters": lambda arm: wording.count(arm["parameters"]),
    }
    if _has_shifts(results):
        # In place of what follows from test accuracy and gap.
        shifted = {
            "roll, %": lambda arm: _mean(arm, _ROLLED),
            "move, %": lambda arm: _mean(arm, _MOVED),
        }
        columns = {
            new: cell
            for name, column in columns.items()
            for new, cell in (shifted if name == "train, %" else {name: column}).items()
        }
    header = list(columns)
    rows = [[cell(arm) for cell in columns.values()] for arm in results["arms"]]
    lines = ruled(header, rows, numbers=True, width=_WIDTH)
    lines += ["", *textwrap.wrap(interval_note(results), _WIDTH)]
    lines += ["", *textwrap.wrap(answers.answer(results), _WIDTH, **_KEEP_NAMES)]
    return "\n".join(lines)


def interval_note(results: Mapping) -> str:
    """What the numbers after ± are, or that there are none."""
    numbers = sorted({arm["test_accuracy"]["n"] for arm in results["arms"]})
    if numbers == [1]:
        return "One seed: no interval."
    over = " or ".join(f"{number:,}" for number in numbers)
    moved = ""
    if _has_shifts(results):
        reach = _reach(results)
        moved = (
            f" Rolled and moved: of pairs of shifts of a test image, by up to {reach} "
            "pixels each way, the share that get one class; what a roll pushes out "
            "comes back on the other side, in place of what a move pushes out come "
            "zeros."
        )
    return (
        f"Mean ± half the width of its {wording.CONFIDENCE} Student interval over "
        f"{over} seeds. "
        "Train accuracy is on as many images as the test's, gap is train minus test, "
        f"in percentage points.{moved}"
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


_ROLLED, _MOVED = "circular_consistency", "zero_consistency"
_KEEP_NAMES = {"break_long_words": False, "break_on_hyphens": False}


def _accuracy(arm: Mapping, name: str) -> str:
    if arm.get(name) is None:
        return wording.ABSENT
    return wording.percent_with_half_width(arm[name])


def _mean(arm: Mapping, name: str) -> str:
    return wording.percent(arm[name]["mean"]) if arm.get(name) else wording.ABSENT


def _has_shifts(results: Mapping) -> bool:
    return any(arm.get(name) for arm in results["arms"] for name in (_ROLLED, _MOVED))


def _reach(results: Mapping) -> int:
    maps = next(arm["shift_maps"] for arm in results["arms"] if arm.get("shift_maps"))
    return maps[0]["offsets"][-1]
