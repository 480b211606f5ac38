"""The sections of a report on what arms differ in."""

from collections.abc import Mapping, Sequence

from cnnlab.reporting import answers, page, shift_maps, verdicts, wording

# Of more, those without the best arm are folded away.
_SHOWN_PAIRS = 12
_EVIDENCE_NOTE = (
    "Beside the verdict, which is for new seeds on these test images: the interval of "
    "a bootstrap that draws seeds and test images anew, known to be cautious; the "
    "exact test of McNemar, whether two nets of one seed are right equally often; how "
    "much more the difference would vary, had the arms not shared their seeds, and the "
    "seeds an arm for an interval as narrow."
)


def differences(results: Mapping) -> str:
    """Which differences are resolved: in words, then the evidence, by metric."""
    if not results["comparisons"]:
        return ""
    parts = [page.element("h2", "Which differences are resolved")]
    found = verdicts.by_metric(results["comparisons"])
    for name, pairs in found.items():
        if len(found) > 1:
            parts.append(page.element("h3", _capital(wording.metric(name))))
        best = answers.best_arm(results, name)["name"]
        shown, others = pairs, []
        if len(shown) > _SHOWN_PAIRS:
            others = [pair for pair in shown if best not in (pair["a"], pair["b"])]
            shown = [pair for pair in shown if best in (pair["a"], pair["b"])]
        parts += _pairs(shown, verdict_note(name, pairs))
        if others:
            rest = "\n".join(_pairs(others, ""))
            parts.append(page.folded(f"The other {len(others)} pairs", rest))
    return "\n".join(parts)


def when_moved(results: Mapping) -> str:
    """How arms hold their answers when images move; nothing where none were."""
    header, rows = shift_maps.rows(results)
    if not rows:
        return ""
    note = (
        "Same class: of pairs of shifts of an image, the share that get one class. "
        "Among correct: the same for images that are right unmoved. Beyond accuracy: "
        "what remains when as much is taken off as looks of different images of one "
        "label agree, which is all that accuracy and confusions alone would give. "
        f"Measured by {shift_maps.specs(results)}: cnnlab.diagnostics.shifts.measure("
        "predict, images, spec, labels) gives them again."
    )
    heading = page.element("h2", "When the image moves")
    return "\n".join([heading, page.table(header, rows, note)])


def at_equal_cost(results: Mapping) -> str:
    """Which arms another beats at no more cost; nothing where it was not asked."""
    if not results.get("iso_compute"):
        return ""
    note = (
        "An arm is beaten by those that are resolved above it and cost no more, or are "
        "equivalent to it and known to cost less, of those that it is compared with. "
        "Of what nothing beats, nothing says that it is best."
    )
    heading = page.element("h2", "At equal cost")
    rows = verdicts.cost_rows(results["iso_compute"])
    return "\n".join([heading, page.table(*rows, note)])


def _pairs(pairs: Sequence[Mapping], caption: str) -> list[str]:
    parts = []
    told = [pair["sentence"] for pair in pairs if pair.get("sentence")]
    if told:
        parts.append(page.items(told))
    parts.append(page.table(*verdicts.comparison_rows(pairs), caption))
    evidence = verdicts.evidence_rows(pairs)
    if evidence:
        parts.append(page.table(*evidence, _EVIDENCE_NOTE if caption else ""))
    return parts


def verdict_note(name: str, pairs: Sequence[Mapping]) -> str:
    """What a table of these pairs shows, and by which test they are judged."""
    if all(pair["p"] is None for pair in pairs):
        return f"Differences of {wording.metric(name)}. One seed: no interval, no test."
    delta = pairs[0].get("delta")
    equal = ""
    if delta:
        equal = (
            " They are equivalent where two one-sided tests, adjusted likewise, put "
            f"the difference within {wording.percent(delta)} points."
        )
    return (
        f"Differences of {wording.metric(name)} between two arms trained with the same "
        f"seeds, with the {wording.CONFIDENCE} interval of a paired t-test. A "
        f"difference is resolved where p, adjusted by Holm for {_families(pairs)}, is "
        f"below 0.05.{equal} Seeds needed: at which a true difference of the observed "
        "size would be resolved four times in five."
    )


def _families(pairs: Sequence[Mapping]) -> str:
    """What Holm adjusts for together."""
    names = list(dict.fromkeys(pair.get("family", "all pairs") for pair in pairs))
    apart = ", each by themselves" if len(names) > 1 else ""
    return f"{wording.listed(names)}{apart}"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
