"""The content of results.json, from what the arms of a comparison found."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.comparing.measure import Measure, interval
from experiments.comparing.trials import Rate, Trained
from experiments.training import results as training_results


def arm(
    trained: Trained, seeds: Sequence[Mapping[str, Any]], measures: Sequence[Measure]
) -> dict[str, Any]:
    """An arm's row: intervals over its scored seeds, its rates, and its seeds."""
    planned, seeds = trained.planned, list(map(dict, seeds))
    measured = [seed.pop("measured") for seed in seeds]
    row = training_results.arm(planned.plan, planned.model, seeds)
    row["rates"] = [
        {
            "learning_rate": rate.learning_rate,
            "validation_accuracy": interval(rate.accuracies),
            "chosen": rate.learning_rate == trained.learning_rate,
        }
        for rate in trained.rates
        if rate.mean is not None
    ]
    for measure in measures:
        row |= measure.of_arm([found[measure.name] for found in measured])
    # Seeds come last, as they are many.
    return {**row, "seeds": row.pop("seeds")}


def rate_notes(arms: Sequence[Trained]) -> list[str]:
    """Sentences on what the learning rates did to the comparison."""
    notes = []
    for trained in arms:
        for rate in trained.rates:
            if None in rate.accuracies:
                notes.append(
                    f"{trained.name} diverged at {rate.learning_rate:g}, which it "
                    "therefore could not take."
                )
        rates = [rate.learning_rate for rate in trained.rates]
        if len(rates) > 1 and trained.learning_rate in (min(rates), max(rates)):
            end = "lowest" if trained.learning_rate == min(rates) else "highest"
            notes.append(
                f"{trained.name} took the {end} rate that was tried; one beyond it "
                "might be better still."
            )
    return notes + _order_note(arms)


def _order_note(arms: Sequence[Trained]) -> list[str]:
    """Whether the arms' order on validation changes with the rates that all tried."""
    tried = [{rate.learning_rate: rate for rate in each.rates} for each in arms]
    orders = {}
    for at in tried[0]:
        if all(at in rates for rates in tried):
            means = {
                trained.name: rates[at].mean
                for trained, rates in zip(arms, tried, strict=True)
            }
            if None not in means.values():
                orders[at] = sorted(means, key=means.get, reverse=True)
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
