"""What the walk claims of models beside what their certificates find."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from cnnlab.reporting import footer, lattice_maps, page, wording
from cnnlab.text_table import ruled

_WIDTH = 80
_READING = (
    "4x4: circular shifts by multiples of 4 both ways leave the scores as they are; "
    "identity: none but the shift by nothing. One entry: the walk claims, without "
    "computing, what the certificate finds by computing on small integers, where every "
    "bit is compared. In brackets: claimed, and not computed. ~: equal to 1e-9, in "
    "float64."
)


def answer(results: Mapping) -> str:
    """For how many models the walk claims the same, fewer or more."""
    computed = list(filter(_is_computed, results["certificates"]))
    refuted = [_name(each) for each in computed if each["walk"]["refuted"]]
    less = sum(map(_is_fewer, computed))
    same = len(computed) - less - len(refuted)
    models = len({each["model"] for each in results["certificates"]})
    told = (
        f"{models} models in {len(results['certificates'])} forms. Of the "
        f"{len(computed)} that were computed, the walk claims the same shifts as the "
        f"certificate finds for {same}, fewer for {less}, and more for {len(refuted)}."
    )
    if refuted:
        told += f" Refuted: {wording.listed(refuted)}."
    if left := len(results["certificates"]) - len(computed):
        told += f" Of the other {left} it claims none, so that none can be refuted."
    return told


def fewer(results: Mapping) -> dict[str, list[str]]:
    """Why the walk claims fewer, and the forms of which it does."""
    return _by_reason(filter(_is_fewer, results["certificates"]))


def none_claimed(results: Mapping) -> dict[str, list[str]]:
    """Why the walk claims no shift, and the forms of which it claims none."""
    return _by_reason(
        each
        for each in results["certificates"]
        if each["walk"]["count"] == 1 and not _is_fewer(each)
    )


def plain(results: Mapping) -> str:
    """The table, what its words mean, the reasons, and the answer."""
    header, rows = _table(results)
    lines = [*ruled(header, rows), "", *_key(results)]
    lines += textwrap.wrap(_READING, _WIDTH)
    for title, reasons in _reasons(results):
        for reason, names in reasons.items():
            text = f"{title}: {wording.listed(names)}: {reason}"
            lines += textwrap.wrap(text, _WIDTH, subsequent_indent="  ")
    return "\n".join([*lines, "", *textwrap.wrap(results["answer"], _WIDTH)])


def page_of(results: Mapping) -> str:
    """The report as HTML."""
    parts = [
        page.element("h1", results["question"]),
        page.element("p", results["answer"], "answer"),
        page.table(*_table(results), _READING),
        page.items(_key(results)),
    ]
    for title, reasons in _reasons(results):
        if reasons:
            told = [f"{wording.listed(names)}: {why}" for why, names in reasons.items()]
            parts += [page.element("h2", title.capitalize()), page.items(told)]
    parts += footer.of_run(results)
    return page.document(results["question"], parts)


def _key(results: Mapping) -> list[str]:
    """What the numbers above the columns stand for."""
    return [f"{number} {_form(*form)}" for number, form in _numbered(results).items()]


def _numbered(results: Mapping) -> dict[str, tuple[str, str]]:
    return {f"({i})": form for i, form in enumerate(_forms(results), start=1)}


def _table(results: Mapping) -> tuple[list[str], list[list[str]]]:
    forms = _numbered(results)
    found = {
        (each["model"], each["pool"], each["boundary"]): each
        for each in results["certificates"]
    }
    rows = []
    for model in results["models"]:
        by = [found.get((model, *form)) for form in forms.values()]
        sizes = (each["image"] for each in by if each)
        size = "x".join(map(str, next(sizes, []))) or wording.ABSENT
        rows.append([model, size, *map(_cell, by)])
    return ["model", "image", *forms], rows


def _cell(each: Mapping | None) -> str:
    if each is None:
        return wording.ABSENT
    if not _is_computed(each):
        return f"({lattice_maps.short(each['walk']['description'])})"
    if each["constant"]:
        return "constant"
    claimed, found = (
        lattice_maps.short(one["description"]) for one in (each["walk"], each)
    )
    found = "~" * bool(each["to"]) + found
    if each["walk"]["refuted"]:
        return f"claims {claimed}: wrong, {found}"
    return f"{claimed}, found {found}" if _is_fewer(each) else found


def _forms(results: Mapping) -> Iterator[tuple[str, str]]:
    """The pools and boundaries of which some model has a certificate."""
    there = {(each["pool"], each["boundary"]) for each in results["certificates"]}
    for boundary in results["boundaries"]:
        for pool in results["pools"]:
            if (pool, boundary) in there:
                yield pool, boundary


def _form(pool: str, boundary: str) -> str:
    return f"{pool}, {boundary}"


def _is_computed(each: Mapping) -> bool:
    return "count" in each


def _is_fewer(each: Mapping) -> bool:
    if not _is_computed(each) or each["walk"]["refuted"]:
        return False
    return each["walk"]["count"] < each["count"]


def _by_reason(certificates: Iterable[Mapping]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for each in certificates:
        reasons.setdefault(each["walk"]["why"], []).append(_name(each))
    return reasons


def _name(each: Mapping) -> str:
    return f"{each['model']} ({_form(each['pool'], each['boundary'])})"


def _reasons(results: Mapping) -> list[tuple[str, dict[str, list[str]]]]:
    without: dict[str, list[str]] = {}
    for each in results["without"]:
        without.setdefault(each["reason"], []).append(_name(each))
    return [
        ("the walk claims fewer", fewer(results)),
        ("the walk claims no shift", _counted(none_claimed(results))),
        ("no net", _counted(without)),
    ]


def _counted(reasons: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Of many names the first two, and how many more there are."""
    return {
        why: names if len(names) < 4 else [*names[:2], f"{len(names) - 2} others"]
        for why, names in reasons.items()
    }
