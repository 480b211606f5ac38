"""What the paper printed beside what was found, as tables for the report."""

from collections.abc import Mapping

from cnnlab.reporting import verdicts, wording
from experiments.striving import orders
from experiments.striving.published import ERRORS, SECOND_HAND

Rows = Mapping[tuple[str, str, str], Mapping]

_MARK, _RESOLVED = "†", "*"
_FAMILY = f"Holm adjusts p over {orders.FAMILY}, for each measure."
_ONE_SEED = "One seed: no interval, no test."


def all_of(results: Mapping, rows: Rows) -> list[dict]:
    """The tables that these results allow, as `cnnlab.reporting.own_tables` takes them.

    Args:
        rows: as `orders.compared` gives them.
    """
    tables = [printed(results)]
    if rows:
        tables += [order(results, rows), equal_parameters(results, rows)]
    return [table for table in tables if table["rows"]]


def printed(results: Mapping) -> dict:
    """The printed and the found error of every net, and what it is made of."""
    cells = []
    for arm in results["arms"]:
        name, found = arm["name"], arm["test_accuracy"]
        error = {"mean": 1 - found["mean"], "low": None}
        if found["low"] is not None:
            error |= {"low": 1 - found["high"], "high": 1 - found["low"]}
        mark = "" if name in SECOND_HAND else _MARK
        cells.append(
            [
                name,
                wording.percent(ERRORS[name]) + mark,
                wording.percent_with_half_width(error),
                wording.count(arm["parameters"]),
                wording.count(arm["macs"]),
            ]
        )
    images = results["dataset"]["name"]
    return {
        "title": "What the paper printed, and what was found",
        "header": ["net", "printed, error %", "here, error %", "parameters", "MACs"],
        "rows": cells,
        "note": (
            "Printed: Springenberg et al., 2014, table 3, on CIFAR-10 without "
            f"augmentation; {_MARK} is quoted from memory, what has none from those "
            f"who quote it. Here: on {images}, {_nets(results)}; errors compare with "
            "the printed ones in their order, not in their size. base and strided have "
            "equal parameters, and so have conv_pool and all_cnn."
        ),
    }


def order(results: Mapping, rows: Rows) -> dict:
    """Every pair within a variant, in test accuracy: printed and found."""
    cells = [
        [
            verdicts.pair_name(row),
            verdicts.signed(ERRORS[row["b"]] - ERRORS[row["a"]]),
            _difference(row),
            wording.probability(row["p_holm"]),
            row["verdict"],
        ]
        for row in _of(rows, "test_accuracy")
    ]
    claims = " ".join(orders.told(rows, results))
    return {
        "title": "Does the order of the paper hold?",
        "header": ["pair", "printed", "here", "p (Holm)", "verdict"],
        "rows": cells,
        "note": f"{_order_note(rows)} {claims}".strip(),
    }


def equal_parameters(results: Mapping, rows: Rows) -> dict:
    """What a stride in place of a pool changes, all parameters being shared."""
    arms = {arm["name"]: arm for arm in results["arms"]}
    metrics = list(dict.fromkeys(metric for metric, _, _ in rows))
    cells = []
    for variant in orders.variants(arms):
        for net, other in orders.EQUAL_PARAMETERS:
            a, b = f"{net}_{variant}", f"{other}_{variant}"
            if a in arms and b in arms:
                found = [rows[metric, a, b] for metric in metrics]
                costs = [arms[a][cost] / arms[b][cost] for cost in _COSTS]
                cells.append(
                    [
                        verdicts.pair_name(found[0]),
                        *map(_marked, found),
                        *(f"{ratio:.2f}x" for ratio in costs),
                    ]
                )
    return {
        "title": "A stride in place of a pool, at equal parameters",
        "header": ["pair", *(_SHORT.get(m, m) for m in metrics), *_COSTS.values()],
        "rows": cells,
        "note": (
            "Differences in points, of test accuracy and of the share of pairs of "
            "shifts that get one class, circular (rolled) or with zeros shifted in "
            f"(moved){_verdicts(rows)} MACs and step: "
            "multiply-accumulates and time of a training step, as multiples of the "
            "second net's."
        ),
    }


_COSTS = {"macs": "MACs", "step_seconds": "step"}
_SHORT = {
    "test_accuracy": "accuracy",
    "circular_consistency": "rolled",
    "zero_consistency": "moved",
}


def _order_note(rows: Rows) -> str:
    head = "Differences of test accuracy in points"
    if not _bounded(rows):
        return f"{head}. {_ONE_SEED}"
    return (
        f"{head}, here with half the width of their {wording.CONFIDENCE} interval, "
        f"paired by seed. {_FAMILY}"
    )


def _verdicts(rows: Rows) -> str:
    """The end of a sentence on differences: what tells of their verdicts."""
    if not _bounded(rows):
        return f". {_ONE_SEED}"
    return f"; {_RESOLVED} is resolved. {_FAMILY}"


def _bounded(rows: Rows) -> bool:
    """Whether differences have intervals."""
    return any(row["low"] is not None for row in rows.values())


def _of(rows: Rows, metric: str) -> list[Mapping]:
    return [row for (name, _, _), row in rows.items() if name == metric]


def _difference(row: Mapping) -> str:
    text = verdicts.signed(row["difference"])
    if row["low"] is None:
        return text
    return f"{text} ± {wording.percent((row['high'] - row['low']) / 2)}"


def _marked(row: Mapping) -> str:
    mark = _RESOLVED if row["verdict"] == "resolved" else ""
    return verdicts.signed(row["difference"]) + mark


def _nets(results: Mapping) -> str:
    width, dropout = (results["config"][name] for name in ("width", "dropout"))
    told = "by the paper's nets" if width == 1 else f"by nets {width:g} times as wide"
    if dropout == 1:
        return told
    return told + (
        f" with {dropout:g} times the dropout" if dropout else " without dropout"
    )
