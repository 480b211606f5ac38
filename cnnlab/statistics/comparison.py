"""The comparison of a run's arms, from what the run has stored."""

from collections.abc import Mapping, Sequence

import numpy as np

from cnnlab.statistics.bootstrap import crossed_bootstrap
from cnnlab.statistics.mcnemar import mcnemar
from cnnlab.statistics.paired import check_arms, checked_pairs, compare_pairs
from cnnlab.statistics.predictions import Predictions, hits

# Where seeds name these, both arms of a pair must have begun, and been fed, alike.
_SHARED = {
    "initial_params_hash": "other initial parameters",
    "batches_hash": "other batches",
}


def compare(
    results: Mapping,
    predictions: Predictions | None = None,
    *,
    metric: str = "test_accuracy",
    confidence: float = 0.95,
    delta: float | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    draws: int = 4000,
    seed: int = 0,
) -> list[dict]:
    """The rows of `compare_pairs` for a results.json, paired by the seeds' numbers.

    The verdict is about new seeds on this test set. Given predictions, each row has
    beside it
        bootstrap: the row of `crossed_bootstrap`, an interval for new seeds and new
            test images.
        mcnemar: for each seed `seed`, `only_a`, `only_b` and `p` of the exact test
            that those two nets are right equally often.

    Args:
        results: `arms`, each with its `name` and `seeds`, which hold `seed` and the
            metric. Where seeds hold `initial_params_hash` or `batches_hash`, those of
            a pair must be the same.
        predictions: as `load_predictions` gives them, for test_accuracy alone.
        draws, seed: of the bootstrap.

    Raises:
        ValueError: fewer than two arms, arms of other seeds, initial parameters,
            batches or test images, or a metric that a seed does not have.
    """
    arms = _by_seed(results)
    pairs = checked_pairs(pairs, list(arms))
    for a, b in pairs:
        _check_shared(a, arms[a], b, arms[b])
    numbers = {name: sorted(seeds) for name, seeds in arms.items()}
    values = {
        name: [_value(name, arms[name][number], metric) for number in numbers[name]]
        for name in arms
    }
    rows = compare_pairs(
        values, metric=metric, confidence=confidence, delta=delta, pairs=pairs
    )
    if predictions is None:
        return rows

    if metric != "test_accuracy":
        raise ValueError(f"predictions are for test_accuracy; the metric is {metric}")
    right = hits(predictions, numbers)
    _check_accuracies(right, values, numbers)
    drawn = crossed_bootstrap(
        right, pairs=pairs, confidence=confidence, draws=draws, seed=seed
    )
    for row, bootstrap in zip(rows, drawn, strict=True):
        a, b = row["a"], row["b"]
        row["bootstrap"] = {k: v for k, v in bootstrap.items() if k not in ("a", "b")}
        row["mcnemar"] = [
            {"seed": number, **mcnemar(of_a, of_b)._asdict()}
            for number, of_a, of_b in zip(numbers[a], right[a], right[b], strict=True)
        ]
    return rows


def _by_seed(results: Mapping) -> dict[str, dict[int, Mapping]]:
    """The record of each seed of each arm."""
    names = [arm["name"] for arm in results.get("arms", ())]
    check_arms(names)
    arms: dict[str, dict[int, Mapping]] = {}
    for arm in results["arms"]:
        name, seeds = arm["name"], arm["seeds"]
        if name in arms:
            raise ValueError(f"two arms are named {name}")
        arms[name] = {seed["seed"]: seed for seed in seeds}
        if len(arms[name]) < len(seeds):
            raise ValueError(f"{name} has a seed twice: {[s['seed'] for s in seeds]}")
    numbers = {name: sorted(seeds) for name, seeds in arms.items()}
    if any(other != numbers[names[0]] for other in numbers.values()):
        raise ValueError(f"arms of different seeds {numbers}; pairs need the same")
    return arms


def _check_shared(a: str, of_a: Mapping, b: str, of_b: Mapping) -> None:
    for number in of_a:
        for key, words in _SHARED.items():
            found = of_a[number].get(key), of_b[number].get(key)
            if None not in found and found[0] != found[1]:
                raise ValueError(
                    f"{a} and {b} had {words} at seed {number}; pairs need the same"
                )


def _value(name: str, record: Mapping, metric: str) -> float:
    value = record.get(metric)
    if value is None:
        raise ValueError(f"{name} seed {record['seed']} has no {metric}")
    return value


def _check_accuracies(right, accuracies, numbers) -> None:
    """The predictions must be those that the results were computed from."""
    for name, rows in right.items():
        for number, row, accuracy in zip(
            numbers[name], rows, accuracies[name], strict=True
        ):
            if not np.isclose(row.mean(), accuracy, rtol=0, atol=1e-6):
                raise ValueError(
                    f"predictions of {name} seed {number} are right in {row.mean():.4%}"
                    f", its test_accuracy is {accuracy:.4%}: not of one run"
                )
