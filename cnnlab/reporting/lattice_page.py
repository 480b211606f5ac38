"""The report on which shifts are exact: a table of pictures."""

from collections.abc import Iterator, Mapping
from html import escape

from cnnlab.reporting import footer, lattice_maps, lattice_table, page, wording

_STYLE = """
.shifts { width: 3.2rem; height: 3.2rem; flex: none; border: 1px solid #cfd6dd; }
.set { display: flex; flex-wrap: wrap; align-items: center; gap: .3rem .8rem; }
.set small { color: #555; display: block; font-size: .8rem; line-height: 1.35; }
.sets th, .sets td { text-align: left; }
.sets td { padding: .45rem 1.4rem .45rem 0; }
.sets td:first-child { min-width: 7.5rem; }
.lattices { display: flex; flex-wrap: wrap; flex-direction: row-reverse;
  justify-content: flex-end; align-items: flex-start; gap: 1rem 2.5rem;
  margin-top: 1.8rem; }
.lattices figure { flex: 1 1 26rem; max-width: 34rem; }
.lattices > div { max-width: 100%; margin-top: 0; }
"""
_READING = (
    "Each square is a circular shift of the image, the middle is none; blue are those "
    "under which the output stays exactly as it is. The net computes on small "
    "integers, so that sums have no rounding and every bit is compared; where roots "
    "or exponentials need float64, outputs are the same if they differ by no more "
    "than 1e-9 of the largest. Walk: what a reading of the program claims without "
    "computing it."
)


def page_of(results: Mapping, figure: str) -> str:
    """The report as HTML, given the figure as an SVG document."""
    side = "x".join(map(str, results["image"]))
    caption = (
        "The shifts of each group of pools that are exact; the middle is no shift. "
        "Pools that stand together have the same, on every boundary."
    )
    parts = [
        page.element("h1", results["question"]),
        page.element("p", results["answer"], "answer"),
        page.element("p", f"Net: {results['net']}. Images of {side}.", "context"),
        f'<div class="lattices">{page.figure(figure, 1, caption)}',
        f"{_pictures(results)}</div>",
        page.element("p", _READING, "context"),
        *_reasons("Where the walk claims fewer", lattice_table.fewer(results)),
        *_reasons("Pools without a net", lattice_table.without(results)),
        *_reasons("Notes", lattice_table.noted(results)),
        *_layers(results),
        *footer.of_run(results),
    ]
    return page.document(results["question"], parts, _STYLE)


def _pictures(results: Mapping) -> str:
    """A row for each pool, a picture and words for each boundary."""
    found = {(each["pool"], each["boundary"]): each for each in results["certificates"]}
    boundaries = results["boundaries"]
    head = "".join(f'<th scope="col">{escape(b)}</th>' for b in ["pool", *boundaries])
    rows = []
    for pool in results["pools"]:
        cells = "".join(
            f"<td>{_cell(found.get((pool, boundary)))}</td>" for boundary in boundaries
        )
        rows.append(f"<tr><td>{page.breakable(pool)}</td>{cells}</tr>")
    return (
        '<div class="wide" role="region" aria-label="table" tabindex="0">'
        f'<table class="sets"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{chr(10).join(rows)}</tbody></table></div>"
    )


def _cell(certificate: Mapping | None) -> str:
    if certificate is None:
        return wording.ABSENT
    text = lattice_table.words(certificate)
    picture = lattice_maps.svg(certificate["exact"], escape(text))
    share = lattice_table.share(certificate)
    exact = lattice_table.arithmetic(certificate)
    exact = f"{share}, {exact}" if "/" in share else exact
    walk = f"walk: {lattice_table.walk_words(certificate)}"
    small = f"{page.element('small', exact)}{page.element('small', walk)}"
    return f'<div class="set">{picture}<div>{escape(text)}{small}</div></div>'


def _reasons(title: str, reasons: Mapping[str, list[str]]) -> Iterator[str]:
    if reasons:
        yield page.element("h2", title)
        yield page.items(
            [f"{wording.listed(names)}: {why}" for why, names in reasons.items()]
        )


def _layers(results: Mapping) -> Iterator[str]:
    layered = [each for each in results["certificates"] if each["layers"]]
    if layered:
        yield page.element("h2", "Every operation")
        yield page.element(
            "p",
            "Shifts under which a map moves along, by the shift over its stride, or "
            "what has no places stays; and those under which a map is rolled by whole "
            "entries of which the image decides how many.",
            "context",
        )
    for each in layered:
        table = page.table(*lattice_table.layer_rows(each), "")
        yield page.folded(f"{each['pool']}, {each['boundary']}", table)
