"""The content of results.json, from what the arms of a comparison found."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnlab.statistics import compare, mean_interval
from experiments.comparison import Outcome

_OVER_SEEDS = ("test_accuracy", "train_accuracy", "validation_accuracy")


def arm(
    outcome: Outcome, *, model: str, shifts: Sequence[int], shift_examples: int
) -> dict[str, Any]:
    """An arm's row: intervals over its seeds, its rates, and its seeds one by one."""
    seeds = outcome.seeds
    paces = [seed["step_seconds"] for seed in seeds if seed["step_seconds"] is not None]
    return {
        "name": outcome.arm.spec,
        "spec": outcome.arm.spec,
        "model": model,
        "parameters": outcome.parameters,
        "macs": None,
        **{key: _interval([seed[key] for seed in seeds]) for key in _OVER_SEEDS},
        "gap": _interval([s["train_accuracy"] - s["test_accuracy"] for s in seeds]),
        "step_seconds": float(np.median(paces)) if paces else None,
        "learning_rate": outcome.learning_rate,
        "rates": [
            {
                "learning_rate": rate["learning_rate"],
                "validation_accuracy": _interval(rate["accuracies"]),
                "chosen": rate["chosen"],
            }
            for rate in outcome.rates
            if rate["accuracies"] and None not in rate["accuracies"]
        ],
        "shift_accuracy": _shift_accuracy(seeds, shifts, shift_examples),
        "seeds": [
            {k: v for k, v in seed.items() if k != "shift_accuracy"} for seed in seeds
        ],
    }


def finished(results: Mapping[str, Any]) -> dict[str, Any]:
    """`results` with the arms compared in pairs and the time that all took."""
    return {
        **results,
        "comparisons": compare(results),
        "seconds": sum(s["seconds"] for arm in results["arms"] for s in arm["seeds"]),
    }


def rate_notes(outcomes: Sequence[Outcome]) -> list[str]:
    """Sentences on what the choice of learning rates did to the comparison."""
    notes = []
    orders: dict[float, list[str]] = {}
    for outcome in outcomes:
        for rate in outcome.rates:
            if rate["accuracies"] and None in rate["accuracies"]:
                notes.append(
                    f"{outcome.arm.spec} diverged at {rate['learning_rate']:g}, which "
                    "it therefore could not take."
                )
    common = set.intersection(
        *(
            {
                rate["learning_rate"]
                for rate in outcome.rates
                if rate["accuracies"] and None not in rate["accuracies"]
            }
            for outcome in outcomes
        )
    )
    for rate in sorted(common):
        means = {
            outcome.arm.spec: np.mean(row["accuracies"])
            for outcome in outcomes
            for row in outcome.rates
            if row["learning_rate"] == rate
        }
        orders[rate] = sorted(means, key=means.get, reverse=True)
    if len(common) > 1 and len(outcomes) > 1:
        if len(set(map(tuple, orders.values()))) == 1:
            order = ", ".join(next(iter(orders.values())))
            notes.append(
                "On validation the order of the arms is the same at every rate: "
                f"{order} (best first)."
            )
        else:
            listed = "; ".join(
                f"at {rate:g} {', '.join(order)}" for rate, order in orders.items()
            )
            notes.append(
                "On validation the order of the arms changes with the learning rate, "
                f"so that one shared rate would decide it: {listed} (best first)."
            )
    return notes


def _shift_accuracy(seeds, shifts, examples: int) -> dict[str, Any]:
    by_shift = np.transpose([seed["shift_accuracy"] for seed in seeds]).tolist()
    rows = [_interval(values) for values in by_shift]
    bounded = rows[0]["low"] is not None
    return {
        "shifts": list(shifts),
        "axis": "horizontal",
        "examples": examples,
        "mean": [row["mean"] for row in rows],
        "low": [row["low"] for row in rows] if bounded else None,
        "high": [row["high"] for row in rows] if bounded else None,
    }


def _interval(values: Sequence[float | None]) -> dict[str, Any] | None:
    """The mean and its interval; None where a value is missing."""
    if None in values:
        return None
    return mean_interval(values)._asdict()
