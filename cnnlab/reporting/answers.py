"""The answer to a comparison's question, in sentences."""

from collections.abc import Mapping, Sequence

from cnnlab.reporting.wording import (
    CONFIDENCE,
    PERCENT,
    listed,
    metric,
    percent,
    seeds,
)
from cnnlab.statistics.sentences import about_seeds

# Beyond these a sentence that names each arm is no longer read.
_NAMED_ARMS = 4
_ONE_SEED = "With one seed no difference can be told from chance."


def best_arm(results: Mapping, name: str = "test_accuracy") -> Mapping:
    """The arm of the highest mean of that metric, the first among equals."""
    return max(results["arms"], key=lambda arm: arm[name]["mean"])


def answer(results: Mapping) -> str:
    """What the comparison shows: its own words where it has any, else a sentence for
    test accuracy, and one for each other metric that was compared."""
    arms = results["arms"]
    first = arms[0]["test_accuracy"]
    if results.get("answer"):
        told = [results["answer"]]
        if first["n"] == 1 and len(arms) > 1:
            told.append(_ONE_SEED)
        return " ".join(told)
    if len(arms) == 1:
        figures = _figures(first)
        return f"{arms[0]['name']} has a mean test accuracy of {figures}."
    compared = dict.fromkeys(row["metric"] for row in results["comparisons"])
    metrics = list(dict.fromkeys(["test_accuracy", *compared]))
    sentences = [_best(results, name) for name in metrics]
    if first["n"] == 1:
        sentences.append(_ONE_SEED)
    return " ".join(sentences)


def _best(results: Mapping, name: str) -> str:
    """Which arm has the highest mean of a metric, and over which its lead holds."""
    best = best_arm(results, name)
    head = f"{best['name']} has the highest {metric(name)}"
    figures = f"{percent(best[name]['mean'])}{PERCENT}"
    if name == "test_accuracy":
        head = f"{best['name']} has the highest mean test accuracy"
        figures = _figures(best[name])
        names = [arm["name"] for arm in results["arms"]]
        few = len(names) <= _NAMED_ARMS
        head = f"Of {listed(names) if few else f'the {len(names)} arms'}, {head}"
    head += f" ({figures})"
    leads = [
        row
        for row in results["comparisons"]
        if row["metric"] == name and best["name"] in (row["a"], row["b"])
    ]
    if not leads or best[name]["n"] == 1:
        return f"{head}."
    if name != "test_accuracy":
        return f"{head}; {_brief(best['name'], leads)}."
    tell = _each_lead if len(leads) < _NAMED_ARMS else _all_leads
    return f"{head}; {tell(best['name'], leads)}."


def _figures(interval: Mapping) -> str:
    text = f"{percent(interval['mean'])}{PERCENT}"
    if interval["low"] is None:
        return text
    return (
        f"{text}, {CONFIDENCE} interval {percent(interval['low'])} to "
        f"{percent(interval['high'])} over {seeds(interval['n'])}"
    )


def _brief(best: str, leads: Sequence[Mapping]) -> str:
    """Over whom a lead is resolved, without numbers."""
    won = [_rival(best, lead) for lead in leads if lead["verdict"] == "resolved"]
    if not won:
        return "its lead is not resolved"
    if len(won) == len(leads) > 1:
        return "its lead is resolved over each of the others"
    over = listed(won) if len(won) < _NAMED_ARMS else f"{len(won)} of the others"
    alone = " alone" if len(won) < len(leads) else ""
    return f"its lead is resolved over {over}{alone}"


def _each_lead(best: str, leads: Sequence[Mapping]) -> str:
    clauses = []
    for verdict, words in (
        ("resolved", "is resolved"),
        ("not resolved", "is not resolved"),
    ):
        told = [_lead(best, lead) for lead in leads if lead["verdict"] == verdict]
        if told:
            clauses.append(f"its lead over {listed(told)} {words}")
    if len(clauses) == 2:
        clauses[1] = clauses[1].removesuffix(" resolved")
    equal = [lead for lead in leads if lead["verdict"] == "equivalent"]
    if equal:
        told = listed([_lead(best, lead) for lead in equal])
        margin = percent(equal[0]["delta"])
        clauses.append(f"it is equivalent to {told} within {margin} points")
    return ", ".join(clauses)


def _lead(best: str, lead: Mapping) -> str:
    inside = f"{percent(abs(lead['difference']))} points"
    if lead["verdict"] == "not resolved" and lead["seeds_needed"] is not None:
        inside += f"; {about_seeds(lead['seeds_needed'])} would be needed"
    return f"{_rival(best, lead)} ({inside})"


def _all_leads(best: str, leads: Sequence[Mapping]) -> str:
    resolved = [lead for lead in leads if lead["verdict"] == "resolved"]
    others = [lead for lead in leads if lead["verdict"] != "resolved"]
    if not others:
        return "its lead is resolved over each of the others"
    numbers = [
        lead["seeds_needed"]
        for lead in others
        if lead["verdict"] == "not resolved" and lead["seeds_needed"]
    ]
    asks = f" ({about_seeds(min(numbers))} or more would be needed)" if numbers else ""
    equal = sum(lead["verdict"] == "equivalent" for lead in others)
    if equal:
        margin = percent(others[0]["delta"])
        asks += f"; it is equivalent to {equal} of them within {margin} points"
    if not resolved:
        return f"its lead is resolved over none of the others{asks}"
    won = listed([_rival(best, lead) for lead in resolved])
    if len(others) > _NAMED_ARMS:
        open_ones = f"the {len(others)} others"
    else:
        open_ones = listed([_rival(best, lead) for lead in others])
    return f"its lead is resolved over {won}, but not over {open_ones}{asks}"


def _rival(best: str, lead: Mapping) -> str:
    return lead["b"] if lead["a"] == best else lead["a"]
