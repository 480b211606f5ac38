"""Which of the nets of a variant are better, as the paper has it and as found here."""

from collections.abc import Iterable, Mapping

from cnnlab.reporting import verdicts, wording

FAMILY = "all pairs of nets of one variant"
"""What the pairs are called that Holm adjusts for together."""

EQUAL_PARAMETERS = ("strided", "base"), ("all_cnn", "conv_pool")
"""Nets of the same parameters, of which the first has a stride for the other's pool."""

_ORDER = (
    ("strided", "base"),
    ("strided", "conv_pool"),
    ("strided", "all_cnn"),
    ("base", "conv_pool"),
    ("base", "all_cnn"),
    ("all_cnn", "conv_pool"),
)
CLAIMS = {
    "strided is the worst": _ORDER[:3],
    "conv_pool and all_cnn beat base": _ORDER[3:5],
}
"""What the order that the paper printed comes to: pairs of a worse net and a better."""


def variants(arms: Iterable[str]) -> dict[str, list[str]]:
    """The nets of each variant among arms of these names."""
    found: dict[str, list[str]] = {}
    for name in arms:
        net, _, variant = name.rpartition("_")
        found.setdefault(variant, []).append(net)
    return found


def pairs(arms: Iterable[str]) -> list[tuple[str, str]]:
    """The pairs of arms that the question is about: two nets of one variant."""
    return [
        (f"{a}_{variant}", f"{b}_{variant}")
        for variant, nets in variants(arms).items()
        for a, b in _ORDER
        if a in nets and b in nets
    ]


def compared(results: Mapping) -> dict[tuple[str, str, str], Mapping]:
    """The comparisons of the results, by (metric, a, b)."""
    return {(row["metric"], row["a"], row["b"]): row for row in results["comparisons"]}


def replaced(
    rows: Mapping[tuple[str, str, str], Mapping], results: Mapping
) -> list[str]:
    """For every variant a sentence: what strides in place of its pools change here."""
    sentences = []
    for variant, nets in variants(arm["name"] for arm in results["arms"]).items():
        found = [pair for pair in EQUAL_PARAMETERS if set(pair) <= set(nets)]
        parts = []
        for metric in dict.fromkeys(metric for metric, _, _ in rows):
            changes = []
            for a, b in found:
                row = rows[metric, f"{a}_{variant}", f"{b}_{variant}"]
                points = verdicts.signed(row["difference"])
                changes.append(f"{points} points ({a} − {b}, {row['verdict']})")
            parts.append(f"{wording.metric(metric)} {wording.listed(changes)}")
        if found:
            sentences.append(
                f"{variant.upper()} with a stride in place of each pool, at equal "
                f"parameters: {'; '.join(parts)}."
            )
    return sentences


def told(rows: Mapping[tuple[str, str, str], Mapping], results: Mapping) -> list[str]:
    """For every claim and variant a sentence: what its pairs have come to here."""
    sentences = []
    for variant, nets in variants(arm["name"] for arm in results["arms"]).items():
        for claim, of_claim in CLAIMS.items():
            found: dict[str, list[str]] = {}
            for worse, better in of_claim:
                if worse in nets and better in nets:
                    pair = f"{worse}_{variant}", f"{better}_{variant}"
                    outcome = _outcome(rows["test_accuracy", *pair])
                    found.setdefault(outcome, []).append(better)
            if found:
                outcomes = "; ".join(
                    f"{outcome} for {wording.listed(names)}"
                    for outcome, names in found.items()
                )
                sentences.append(
                    f"The paper's order of {variant.upper()}, that {claim}, is here "
                    f"{outcomes}."
                )
    return sentences


def _outcome(row: Mapping) -> str:
    """What became of the claim that the first of the pair is worse."""
    if row["verdict"] == "resolved" and row["difference"] > 0:
        return "reversed"
    return row["verdict"]
