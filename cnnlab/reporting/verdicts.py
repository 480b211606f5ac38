"""Which differences are resolved: sentences, and the evidence as rows of text."""

from collections.abc import Mapping, Sequence

from cnnlab.reporting import wording

Rows = tuple[list[str], list[list[str]]]

# Of more seeds, the range of their p-values.
_LISTED_SEEDS = 5


def by_metric(comparisons: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """The rows of each metric that was compared, in order."""
    found: dict[str, list[Mapping]] = {}
    for row in comparisons:
        found.setdefault(row["metric"], []).append(row)
    return found


def comparison_rows(comparisons: Sequence[Mapping]) -> Rows:
    """The header, and one row of text for every pair of arms.

    Differences are in percentage points, with their 95 % interval; of one seed they
    stand alone.
    """
    header = ["pair", "difference, points"]
    if all(pair["low"] is None for pair in comparisons):
        rows = [[pair_name(pair), signed(pair["difference"])] for pair in comparisons]
        return header, rows
    header += [f"{wording.CONFIDENCE} interval"]
    header += ["p", "p (Holm)", "verdict", "seeds needed"]
    rows = [
        [
            pair_name(pair),
            signed(pair["difference"]),
            _bounds(pair["low"], pair["high"]),
            wording.probability(pair["p"]),
            wording.probability(pair["p_holm"]),
            pair["verdict"],
            wording.seeds_needed(pair["seeds_needed"]),
        ]
        for pair in comparisons
    ]
    return header, rows


def evidence_rows(comparisons: Sequence[Mapping]) -> Rows | None:
    """The same pairs by other means: new images, single nets, and no pairing.

    None where nothing of it was found.
    """
    if not any(pair.get("bootstrap") for pair in comparisons):
        return None
    header = ["pair", "bootstrap interval", "McNemar's p, by seed"]
    header += ["variance without / with pairing", "seeds without pairing"]
    rows = [
        [
            pair_name(pair),
            _bounds(pair["bootstrap"]["low"], pair["bootstrap"]["high"]),
            _each_p([seed["p"] for seed in pair["mcnemar"]]),
            _ratio(pair["variance_ratio"]),
            wording.seeds_needed(pair["seeds_unpaired"]),
        ]
        for pair in comparisons
        if pair.get("bootstrap")
    ]
    return header, rows


def cost_rows(iso_compute: Sequence[Mapping]) -> Rows:
    """The header, and a row for every metric and arm: who beats it at no greater cost.

    Each cost has two columns, what the arm costs and the arms that beat it.
    """
    costs = list(dict.fromkeys(row["cost"] for row in iso_compute))
    found = {(row["metric"], row["arm"], row["cost"]): row for row in iso_compute}
    header = ["arm", "metric", "mean, %"]
    for cost in costs:
        header += [_COSTS.get(cost, (cost, str))[0], "beaten by"]
    rows = []
    for metric, arm in dict.fromkeys(
        (row["metric"], row["arm"]) for row in found.values()
    ):
        cells = [arm, wording.metric(metric)]
        cells.append(wording.percent_with_half_width(found[metric, arm, costs[0]]))
        for cost in costs:
            row = found[metric, arm, cost]
            written = _COSTS.get(cost, (cost, str))[1](row["amount"])
            cells += [written, wording.listed(row["dominated_by"]) or "none"]
        rows.append(cells)
    return header, rows


def pair_name(pair: Mapping) -> str:
    """The difference that a row is of."""
    return f"{pair['a']} − {pair['b']}"


def signed(difference: float) -> str:
    """A difference of fractions in percentage points, with its sign."""
    return f"{100 * difference:+.2f}".replace("-", "−")


_COSTS = {
    "macs": ("MACs", wording.count),
    "step_seconds": ("step, ms", wording.milliseconds),
}


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return wording.ABSENT
    return f"{signed(low)} to {signed(high)}"


def _ratio(ratio: float | None) -> str:
    return wording.ABSENT if ratio is None else f"{ratio:.2f}"


def _each_p(values: Sequence[float]) -> str:
    if len(values) <= _LISTED_SEEDS:
        return ", ".join(map(wording.probability, values))
    ends = map(wording.probability, (min(values), max(values)))
    return f"{' to '.join(ends)} over {wording.seeds(len(values))}"
