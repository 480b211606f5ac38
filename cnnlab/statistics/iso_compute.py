"""What accuracy costs, and which arms another beats at no greater cost."""

from collections.abc import Mapping, Sequence

from cnnlab.statistics.comparison import compare
from cnnlab.statistics.intervals import mean_interval
from cnnlab.statistics.paired import check_arms

METRICS = ("test_accuracy", "consistency")
COSTS = ("macs", "step_seconds")


def iso_compute(
    results: Mapping,
    *,
    metrics: Sequence[str] | None = None,
    comparisons: Sequence[Mapping] | None = None,
    costs: Sequence[str] | None = None,
    confidence: float = 0.95,
    delta: float | None = None,
) -> list[dict]:
    """One row for every metric, cost and arm, and whether the arm is on the front.

    Arm a dominates arm b, of a metric that is better the higher, if
    - a's metric is resolved above b's (as by `compare`), and a is known to cost no
      more; or
    - `delta` is given, the verdict is that they are equivalent, neither resolved above
      the other, and a is known to cost less.
    A cost that every seed of every arm has (`step_seconds`, measured) is known to be
    less, or no more, where the paired verdict over seeds resolves that it is less. A
    measurement that the seeds of an arm share does not vary, and so counts as exact. A
    cost that the arms alone have (`macs`, counted) is exact. Holm adjusts over all
    pairs of arms, for each metric and cost by itself. An arm is on the front where none
    dominates it: not where it is shown to be best, but where nothing is shown to beat
    it, so that with few seeds the front is large, and with one seed it holds every arm.

    Args:
        metrics: per-seed values of the arms; None is those of `METRICS` that all have.
        comparisons: rows of `compare` for these metrics, whose verdicts are taken, so
            that a pair has one wherever it stands: arms that they do not pair are not
            held against one another. None compares all pairs.
        costs: None is those of `COSTS` that all arms have.
        delta: in the metrics' unit; None regards no two arms as equivalent.

    Each row holds `metric`, `cost`, `arm`, the metric's `mean`, `low`, `high` and `n`,
    the cost as `amount`, the names `dominated_by` and `front`.

    Raises:
        ValueError: as `compare` does, and where an arm lacks a metric or cost that was
            asked for.
    """
    arms = {arm["name"]: arm for arm in results.get("arms", ())}
    check_arms(list(arms))
    if metrics is None:
        metrics = [name for name in METRICS if _has_seeds(arms, name)]
    if costs is None:
        costs = [cost for cost in COSTS if all(a.get(cost) for a in arms.values())]
    for cost in costs:
        for name, arm in arms.items():
            if arm.get(cost) is None:
                raise ValueError(f"{name} has no {cost}; give costs that all arms have")
    rows = []
    cheaper = {cost: _cheaper(results, arms, cost, confidence) for cost in costs}
    for metric in metrics:
        if comparisons is None:
            rows_of_metric = compare(
                results, metric=metric, confidence=confidence, delta=delta
            )
        else:
            rows_of_metric = [row for row in comparisons if row["metric"] == metric]
        better, equal = _better(rows_of_metric)
        for cost in costs:
            no_dearer, less = cheaper[cost]
            dominating = (better & no_dearer) | (equal & less)
            for name, arm in arms.items():
                above = [other for other in arms if (other, name) in dominating]
                values = [seed[metric] for seed in arm["seeds"]]
                rows.append(
                    {
                        "metric": metric,
                        "cost": cost,
                        "arm": name,
                        **mean_interval(values, confidence)._asdict(),
                        "amount": arm[cost],
                        "dominated_by": above,
                        "front": not above,
                    }
                )
    return rows


Pairs = set[tuple[str, str]]


def _better(verdicts: Sequence[Mapping]) -> tuple[Pairs, Pairs]:
    """The (winner, loser) that are resolved, and the equivalent, which go both ways."""
    better, equal = set(), set()
    for row in verdicts:
        pair = row["a"], row["b"]
        if row["verdict"] == "resolved":
            better.add(pair if row["difference"] > 0 else pair[::-1])
        elif row["verdict"] == "equivalent":
            equal |= {pair, pair[::-1]}
    return better, equal


def _cheaper(
    results: Mapping, arms: Mapping, cost: str, confidence: float
) -> tuple[Pairs, Pairs]:
    """The (a, b) of which a is known to cost no more, and those of which less."""
    if _has_seeds(arms, cost):
        less = set()
        for row in compare(results, metric=cost, confidence=confidence):
            if row["verdict"] == "resolved":
                pair = row["a"], row["b"]
                less.add(pair if row["difference"] < 0 else pair[::-1])
        return less, less
    amounts = {name: arm[cost] for name, arm in arms.items()}
    pairs = [(a, b) for a in amounts for b in amounts if a != b]
    return (
        {(a, b) for a, b in pairs if amounts[a] <= amounts[b]},
        {(a, b) for a, b in pairs if amounts[a] < amounts[b]},
    )


def _has_seeds(arms: Mapping[str, Mapping], name: str) -> bool:
    """Whether every seed of every arm has a value of that name."""
    return all(
        seed.get(name) is not None for arm in arms.values() for seed in arm["seeds"]
    )
