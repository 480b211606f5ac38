"""Verdicts in words."""

from collections.abc import Mapping

# With more the number says no more than that it is out of reach.
COUNTED_SEEDS = 1000
# What is a fraction of examples is told in percentage points.
_FRACTIONS = ("accuracy", "consistency", "agreement")


def probability(p: float) -> str:
    """A p-value with three decimals, or the bound it is below."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def about_seeds(needed: int) -> str:
    """How many seeds that is, roughly: "about 25 seeds"."""
    if needed > COUNTED_SEEDS:
        return f"more than {COUNTED_SEEDS:,} seeds"
    return f"about {needed:,} seeds"


def sentence(row: Mapping) -> str:
    """What a row of `compare_pairs` says, such as

    "max_pool's test accuracy is 1.20 points above avg_pool's (95 % interval 0.80 to
    1.60, p = 0.003 by Holm): resolved." The interval is of the sentence's own sign.
    """
    a, b = row["a"], row["b"]
    name, difference = row["metric"].replace("_", " "), row["difference"]
    size = _amount(row, abs(difference), unit=True)
    lead = f"{a}'s {name} is {size} {'above' if difference > 0 else 'below'} {b}'s"
    if difference == 0:
        lead = f"{a} and {b} have the same {name}"
    if row["p_holm"] is None:
        return f"{lead}, with one seed: no interval is claimed."

    low, high = row["low"], row["high"]
    if difference < 0:
        low, high = -high, -low
    evidence = f"{100 * row['confidence']:g} % interval "
    evidence += f"{_amount(row, low)} to {_amount(row, high)}, "
    bound = f"within {_amount(row, row['delta'], unit=True)}" if row["delta"] else ""
    holm = f"{_p(row['p_holm'])} by Holm"
    if row["verdict"] == "resolved":
        inside = f", and {bound}" if row["equivalent"] else ""
        return f"{lead} ({evidence}{holm}): resolved{inside}."
    if row["verdict"] == "equivalent":
        equivalent = f"{_p(row['p_equivalent_holm'])} by Holm, two one-sided tests"
        return f"{lead} ({evidence}{equivalent}): equivalent {bound}."
    needed = row["seeds_needed"]
    if needed is None:
        return f"{lead} ({evidence}{holm}): not resolved."
    asked = f"{about_seeds(needed)} would be needed"
    return f"{lead} ({evidence}{holm}): not resolved; {asked}."


def _amount(row: Mapping, value: float, unit: bool = False) -> str:
    if row["metric"].endswith(_FRACTIONS):
        return f"{100 * value:.2f}" + (" points" if unit else "")
    return f"{value:.4g}"


def _p(p: float) -> str:
    text = probability(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"
