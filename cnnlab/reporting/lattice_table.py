"""Which shifts are exact, in sentences and as a table for the terminal."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from cnnlab.reporting import lattice_maps, wording
from cnnlab.text_table import ruled

_WIDTH = 80
_GAP = 2
# Of a picture for the terminal.
_MOST_LINES = 8
_NAMED = 3
_NOUN = "boundary", "boundaries"
_CHANCE = (
    "a choice that depends on the image can leave a shift exact in every trial by "
    "chance; more --trials tell"
)


def answer(results: Mapping) -> str:
    """Which sets there are on each boundary and for how many pools, and what the walk
    claims of them."""
    told: dict[str, list[str]] = {}
    for boundary in results["boundaries"]:
        if parts := _parts(results, boundary):
            told.setdefault("; ".join(parts), []).append(boundary)
    sentences = [
        f"{wording.listed(on).capitalize()} {_NOUN[len(on) > 1]}: {parts}."
        for parts, on in told.items()
    ]
    return " ".join([*sentences, _of_walk(results["certificates"])])


def words(certificate: Mapping) -> str:
    """What set of shifts it is."""
    if certificate["constant"]:
        return "nothing to certify, as the output is constant"
    return certificate["description"]


def share(certificate: Mapping) -> str:
    """Of all shifts the part that is exact, as a fraction in its lowest terms."""
    size = sum(map(len, certificate["exact"]))
    return str(Fraction(certificate["count"], size))


def arithmetic(certificate: Mapping) -> str:
    """How exact the comparison was."""
    if certificate["to"]:
        return f"to {certificate['to']:.0e}".replace("e-0", "e-")
    return "bit for bit"


def walk_words(certificate: Mapping) -> str:
    """What the walk claims, where that is not what was found."""
    claimed = certificate["walk"]
    if claimed["refuted"]:
        return f"{claimed['refuted']} shifts too many"
    if claimed["count"] < certificate["count"]:
        return claimed["description"]
    return "the same"


def fewer(results: Mapping) -> dict[str, list[str]]:
    """Why the walk claims fewer, and the pools and boundaries of which it does."""
    reasons: dict[str, list[str]] = {}
    for each in results["certificates"]:
        if each["walk"]["count"] < each["count"]:
            why = each["walk"]["why"]
            reasons.setdefault(why, []).append(f"{each['pool']} {each['boundary']}")
    return reasons


def without(results: Mapping) -> dict[str, list[str]]:
    """Why there is no net, and the pools and boundaries without one."""
    reasons: dict[str, list[str]] = {}
    for each in results["without"]:
        reasons.setdefault(each["reason"], []).append(
            f"{each['pool']} {each['boundary']}"
        )
    return reasons


def noted(results: Mapping) -> dict[str, list[str]]:
    """What weakens a certificate, and those of which it does."""
    notes: dict[str, list[str]] = {}
    for each in results["certificates"]:
        chance = [_CHANCE] if each["description"].startswith("irregular") else []
        for note in [*each["notes"], *chance]:
            notes.setdefault(note, []).append(f"{each['pool']} {each['boundary']}")
    return notes


def plain(results: Mapping) -> str:
    """The table, pictures of its sets, what its words mean, and the answer.

    No line is over 80 characters but for names.
    """
    side = "x".join(map(str, results["image"]))
    lines = textwrap.wrap(f"{results['net']}; images of {side}", _WIDTH)
    lines += ["", *_table(results), "", *_pictures(results["certificates"])]
    legend = (
        "4x4: the shifts by multiples of 4 both ways. ~: equal to 1e-9 in float64; "
        "else bit for bit in float32. walk: what is claimed without computing, = the "
        "same."
    )
    lines += ["", *textwrap.wrap(legend, _WIDTH)]
    for title, reasons in (
        ("the walk claims fewer", fewer(results)),
        ("no net", without(results)),
        ("note", noted(results)),
    ):
        for reason, names in reasons.items():
            text = f"{title}: {wording.listed(names)}: {reason}"
            lines += textwrap.wrap(text, _WIDTH, subsequent_indent="  ")
    for each in results["certificates"]:
        if each["layers"]:
            lines += ["", f"{each['pool']}, {each['boundary']}", ""]
            lines += ruled(*layer_rows(each))
    return "\n".join([*lines, "", *textwrap.wrap(results["answer"], _WIDTH)])


def layer_rows(certificate: Mapping) -> tuple[list[str], list[list[str]]]:
    """The header, and a row for every operation of the net."""
    header = ["operation", "output", "stride", "shifts", "up to a roll"]
    rows = []
    for layer in certificate["layers"]:
        strides = "x".join(
            wording.ABSENT if stride is None else f"{stride:g}"
            for stride in layer["strides"]
        )
        exact = layer["equivariant" if layer["map"] else "invariant"]
        row = [
            layer["name"],
            "x".join(map(str, layer["shape"][1:])),
            strides if layer["map"] else wording.ABSENT,
            "constant" if layer["constant"] else exact,
            layer["rolled"] if layer["map"] else wording.ABSENT,
        ]
        rows.append(row)
    return header, rows


def _on(results: Mapping, boundary: str) -> list[Mapping]:
    return [each for each in results["certificates"] if each["boundary"] == boundary]


def _parts(results: Mapping, boundary: str) -> list[str]:
    sets: dict[str, list[Mapping]] = {}
    for each in _on(results, boundary):
        sets.setdefault(words(each), []).append(each)
    total = sum(map(len, sets.values()))
    ordered = sorted(sets.items(), key=lambda item: -item[1][0]["count"])
    return [_part(text, members, total) for text, members in ordered]


def _part(text: str, members: Sequence[Mapping], total: int) -> str:
    if len(members) <= _NAMED:
        who = wording.listed([each["pool"] for each in members])
    elif len(members) == total:
        who = f"all {total}"
    else:
        who = f"{len(members)} of the {total}"
    part = share(members[0])
    told = f"{text} ({part} of the shifts)" if "/" in part else f"{text} shifts"
    return f"{told} for {who}"


def _of_walk(certificates: Sequence[Mapping]) -> str:
    refuted = sum(each["walk"]["refuted"] for each in certificates)
    head = "A reading of the program that computes nothing, the walk, claims"
    if refuted:
        return f"{head} {refuted} shifts that the certificates refute."
    less = sum(each["walk"]["count"] < each["count"] for each in certificates)
    if not less:
        return f"{head} exactly these."
    same = len(certificates) - less
    return (
        f"{head} the same for {same} of {len(certificates)}, fewer for {less}, and "
        "never more."
    )


def _table(results: Mapping) -> list[str]:
    header = ["pool", *results["boundaries"], "walk"]
    rows = []
    for pool in results["pools"]:
        found = {
            each["boundary"]: each
            for each in results["certificates"]
            if each["pool"] == pool
        }
        cells = [_brief(found.get(boundary)) for boundary in results["boundaries"]]
        rows.append([pool, *cells, _walk_cell(found)])
    return ruled(header, rows)


def _brief(certificate: Mapping | None) -> str:
    if certificate is None:
        return wording.ABSENT
    mark = "~" if certificate["to"] else ""
    short = lattice_maps.short(certificate["description"])
    return mark + ("constant" if certificate["constant"] else short)


def _walk_cell(found: Mapping[str, Mapping]) -> str:
    other = {
        boundary: walk_words(each)
        for boundary, each in found.items()
        if walk_words(each) != "the same"
    }
    if not found:
        return wording.ABSENT
    return (
        ", ".join(f"{name} {lattice_maps.short(text)}" for name, text in other.items())
        or "="
    )


def _pictures(certificates: Sequence[Mapping]) -> Iterator[str]:
    """The different sets side by side, each under its words."""
    sets = {tuple(each["exact"]): each for each in certificates}
    ordered = sorted(sets.items(), key=lambda item: -item[1]["count"])
    blocks = []
    for rows, each in ordered:
        drawn = lattice_maps.braille(rows)
        if len(drawn) > _MOST_LINES:
            return
        part = share(each)
        title = lattice_maps.short(each["description"]) + (
            f" {part}" if "/" in part else ""
        )
        width = max(len(title), len(drawn[0]))
        blocks.append([line.ljust(width) for line in (title, *drawn)])
    while blocks:
        fitting, taken = [], -_GAP
        while blocks and taken + _GAP + len(blocks[0][0]) <= _WIDTH:
            taken += _GAP + len(blocks[0][0])
            fitting.append(blocks.pop(0))
        fitting = fitting or [blocks.pop(0)]
        for line in zip(*fitting, strict=True):
            yield (" " * _GAP).join(line).rstrip()
