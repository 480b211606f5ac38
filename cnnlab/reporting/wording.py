"""Numbers as text."""

from collections.abc import Mapping, Sequence

from cnnlab.statistics import sentences

ABSENT = "–"
_METRICS = {
    "circular_consistency": "consistency under circular shifts",
    "zero_consistency": "consistency under shifts with zeros",
}
# A number and its unit stay on one line.
PERCENT = "\N{NO-BREAK SPACE}%"
CONFIDENCE = f"95{PERCENT}"


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
    return ABSENT if p is None else sentences.probability(p)


def seeds_needed(number: int | None) -> str:
    """The number of seeds, or the bound it is above."""
    if number is None:
        return ABSENT
    most = sentences.COUNTED_SEEDS
    return f"> {most:,}" if number > most else count(number)


def metric(name: str) -> str:
    """What an arm's number of that name is called."""
    return _METRICS.get(name, name.replace("_", " "))


def listed(words: Sequence[str]) -> str:
    """The words as an English list: "a", "a and b", "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def seeds(number: int) -> str:
    """The number with its noun: "one seed", "5 seeds"."""
    return "one seed" if number == 1 else f"{number:,} seeds"


def duration(seconds: float) -> str:
    """Seconds up to two minutes, then minutes: "90 seconds", "3 minutes"."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes"
