"""The content of results.json, from what the arms of a comparison found."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnlab.statistics import mean_interval
from experiments.comparing.arms import Rate, Trained

_OVER_SEEDS = ("test_accuracy", "train_accuracy", "validation_accuracy")


def arm(
    trained: Trained,
    seeds: Sequence[Mapping[str, Any]],
    *,
    model: str,
    parameters: int,
    shifts: Sequence[int],
    shift_examples: int,
) -> dict[str, Any]:
    """An arm's row: intervals over its scored seeds, its rates, and its seeds.

    `macs` is None until something counts them.
    """
    paces = [seed["step_seconds"] for seed in seeds if seed["step_seconds"] is not None]
    return {
        "name": trained.arm.spec,
        "spec": trained.arm.spec,
        "model": model,
        "parameters": parameters,
        "macs": None,
        **{key: _interval([seed[key] for seed in seeds]) for key in _OVER_SEEDS},
        "gap": _interval([s["train_accuracy"] - s["test_accuracy"] for s in seeds]),
        "step_seconds": float(np.median(paces)) if paces else None,
        "learning_rate": trained.learning_rate,
        "rates": [
            {
                "learning_rate": rate.learning_rate,
                "validation_accuracy": _interval(rate.accuracies),
                "chosen": rate.learning_rate == trained.learning_rate,
            }
            for rate in trained.rates
            if rate.mean is not None
        ],
        "shift_accuracy": _shift_accuracy(seeds, shifts, shift_examples),
        "seeds": [
            {k: v for k, v in seed.items() if k != "shift_accuracy"} for seed in seeds
        ],
    }


def rate_notes(arms: Sequence[Trained]) -> list[str]:
    """Sentences on what the learning rates did to the comparison."""
    notes = []
    for trained in arms:
        for rate in trained.rates:
            if None in rate.accuracies:
                notes.append(
                    f"{trained.arm.spec} diverged at {rate.learning_rate:g}, which it "
                    "therefore could not take."
                )
        rates = [rate.learning_rate for rate in trained.rates]
        if len(rates) > 1 and trained.learning_rate in (min(rates), max(rates)):
            end = "lowest" if trained.learning_rate == min(rates) else "highest"
            notes.append(
                f"{trained.arm.spec} took the {end} rate that was tried; one beyond "
                "it might be better still."
            )
    return notes + _order_note(arms)


def _order_note(arms: Sequence[Trained]) -> list[str]:
    """Whether the arms' order on validation changes with the rate."""
    orders = {}
    for i, rate in enumerate(arms[0].rates):
        means = {trained.arm.spec: trained.rates[i].mean for trained in arms}
        if None not in means.values():
            orders[rate.learning_rate] = sorted(means, key=means.get, reverse=True)
    if len(orders) < 2 or len(arms) < 2:
        return []
    if len(set(map(tuple, orders.values()))) == 1:
        listed = ", ".join(next(iter(orders.values())))
        return [
            "On validation the order of the arms is the same at every rate: "
            f"{listed} (best first)."
        ]
    listed = "; ".join(f"at {rate:g} {', '.join(o)}" for rate, o in orders.items())
    return [
        "On validation the order of the arms changes with the learning rate: "
        f"{listed} (best first; {_tried(arms[0].rates[0])} a rate)."
    ]


def _tried(rate: Rate) -> str:
    seeds = len(rate.accuracies)
    return "one seed" if seeds == 1 else f"{seeds} seeds"


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
