"""Numbers as text, and the answer to the question as a sentence."""

from collections.abc import Mapping, Sequence

ABSENT = "–"
# Beyond these a sentence that names each arm is no longer read.
_NAMED_ARMS = 4
_COUNTED_SEEDS = 1000
# A number and its unit stay on one line.
_PERCENT = "\N{NO-BREAK SPACE}%"
CONFIDENCE = f"95{_PERCENT}"


def percent(fraction: float) -> str:
    """A fraction in percent with two decimals, without the sign."""
    return f"{100 * fraction:.2f}"


def percent_with_half_width(interval: Mapping) -> str:
    """The mean in percent, ± half the interval's width where there is one."""
    if interval["low"] is None:
        return percent(interval["mean"])
    half_width = (interval["high"] - interval["low"]) / 2
    return f"{percent(interval['mean'])} ± {percent(half_width)}"


def milliseconds(seconds: float | None) -> str:
    """Seconds as milliseconds with about three digits."""
    if seconds is None:
        return ABSENT
    value = 1000 * seconds
    return f"{value:.2f}" if value < 10 else f"{value:,.{1 if value < 100 else 0}f}"


def count(number: int | None) -> str:
    """A whole number with thousands separated."""
    return ABSENT if number is None else f"{number:,}"


def probability(p: float | None) -> str:
    """A p-value with three decimals, or the bound it is below."""
    if p is None:
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def seeds_needed(number: int | None) -> str:
    """The number of seeds, or the bound it is above."""
    if number is None:
        return ABSENT
    return f"> {_COUNTED_SEEDS:,}" if number > _COUNTED_SEEDS else count(number)


def listed(words: Sequence[str]) -> str:
    """The words as an English list: "a", "a and b", "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def seeds(number: int) -> str:
    """The number with its noun: "one seed", "5 seeds"."""
    return "one seed" if number == 1 else f"{number:,} seeds"


def best_arm(results: Mapping) -> Mapping:
    """The arm of the highest mean test accuracy, the first among equals."""
    return max(results["arms"], key=lambda arm: arm["test_accuracy"]["mean"])


def answer(results: Mapping) -> str:
    """What the comparison shows, in one or two sentences, its own where it has any."""
    if results.get("answer"):
        return results["answer"]
    arms = results["arms"]
    best = best_arm(results)
    names = [arm["name"] for arm in arms]
    accuracy = best["test_accuracy"]
    figures = f"{percent(accuracy['mean'])}{_PERCENT}"
    if accuracy["low"] is not None:
        figures += f", {CONFIDENCE} interval {percent(accuracy['low'])} to "
        figures += f"{percent(accuracy['high'])} over {seeds(accuracy['n'])}"
    if len(arms) == 1:
        return f"{best['name']} has a mean test accuracy of {figures}."
    among = listed(names) if len(arms) <= _NAMED_ARMS else f"the {len(arms)} arms"
    head = f"Of {among}, {best['name']} has the highest mean test accuracy ({figures})"
    if accuracy["n"] == 1:
        return f"{head}. With one seed no difference can be told from chance."
    leads = [
        comparison
        for comparison in results["comparisons"]
        if comparison["metric"] == "test_accuracy"
        and best["name"] in (comparison["a"], comparison["b"])
    ]
    if not leads:
        return f"{head}."
    named = len(leads) < _NAMED_ARMS
    return f"{head}; {(_each_lead if named else _all_leads)(best['name'], leads)}."


def _each_lead(best: str, leads: Sequence[Mapping]) -> str:
    resolved = [lead for lead in leads if lead["verdict"] == "resolved"]
    unresolved = [lead for lead in leads if lead["verdict"] != "resolved"]
    over_resolved = listed([_lead(best, lead) for lead in resolved])
    over_unresolved = listed([_lead(best, lead) for lead in unresolved])
    if not unresolved:
        return f"its lead over {over_resolved} is resolved"
    if not resolved:
        return f"its lead over {over_unresolved} is not resolved"
    return (
        f"its lead over {over_resolved} is resolved, "
        f"its lead over {over_unresolved} is not"
    )


def _lead(best: str, lead: Mapping) -> str:
    inside = f"{percent(abs(lead['difference']))} points"
    if lead["verdict"] != "resolved" and lead["seeds_needed"] is not None:
        inside += f"; {_about(lead['seeds_needed'])} would be needed"
    return f"{_rival(best, lead)} ({inside})"


def _all_leads(best: str, leads: Sequence[Mapping]) -> str:
    resolved = [lead for lead in leads if lead["verdict"] == "resolved"]
    unresolved = [lead for lead in leads if lead["verdict"] != "resolved"]
    if not unresolved:
        return "its lead is resolved over each of the others"
    numbers = [lead["seeds_needed"] for lead in unresolved if lead["seeds_needed"]]
    asks = f" ({_about(min(numbers))} or more would be needed)" if numbers else ""
    if not resolved:
        return f"its lead is resolved over none of the others{asks}"
    won = listed([_rival(best, lead) for lead in resolved])
    if len(unresolved) > _NAMED_ARMS:
        open_ones = f"the {len(unresolved)} others"
    else:
        open_ones = listed([_rival(best, lead) for lead in unresolved])
    return f"its lead is resolved over {won}, but not over {open_ones}{asks}"


def _rival(best: str, lead: Mapping) -> str:
    return lead["b"] if lead["a"] == best else lead["a"]


def _about(number: int) -> str:
    if number > _COUNTED_SEEDS:
        return f"more than {_COUNTED_SEEDS:,} seeds"
    return f"about {seeds(number)}"
