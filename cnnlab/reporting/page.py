"""The HTML of a page that needs nothing from anywhere: escaping, tables, figures."""

import re
from collections.abc import Mapping, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #1c1c1c; overflow-wrap: anywhere;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1rem; text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.8rem 0 .4rem; }
p, ul { max-width: 46rem; margin: .6rem 0; }
.answer { font-size: 1.15rem; }
.context, figcaption { color: #555; font-size: .9rem; }
.wide { overflow-x: auto; margin: 1.2rem 0 .6rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
th, td { padding: .35rem .9rem .35rem 0; text-align: right; white-space: nowrap; }
th { font-weight: 600; border-bottom: 1.5px solid #1c1c1c; vertical-align: bottom; }
td { border-bottom: 1px solid #e4e4e4; }
th:first-child, td:first-child { text-align: left; white-space: normal; }
th:last-child, td:last-child { padding-right: 0; }
.facts td { text-align: left; white-space: normal; vertical-align: top; }
.facts td + td { overflow-wrap: anywhere; }
.facts td:first-child { color: #555; }
.figures { columns: 28rem 2; column-gap: 2.5rem; margin-top: 1.8rem; }
figure { margin: 0 0 1.8rem; max-width: 36rem; break-inside: avoid; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { margin-top: .4rem; }
pre { background: #f5f5f3; border-radius: 4px; padding: .8rem 1rem; margin: .6rem 0;
  white-space: pre-wrap; user-select: all; font-size: .9rem; }
pre span { display: inline-block; max-width: 100%; }
summary { cursor: pointer; margin: .6rem 0; }
@media (max-width: 40rem) { main { padding-top: 1.25rem; } h1 { font-size: 1.5rem; } }
@media print { tr { break-inside: avoid; } }
"""

# Scripts and requests are refused even if one were to slip in.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def document(title: str, parts: Sequence[str], style: str = "") -> str:
    """The page of these parts, which are HTML already.

    Args:
        style: CSS rules of the page's own.
    """
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{_STYLE}{style}</style>
</head>
<body>
<main>
{chr(10).join(part for part in parts if part)}
</main>
</body>
</html>
"""


def element(tag: str, text: str, kind: str = "") -> str:
    """The text, escaped, in an element."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<{tag}{attribute}>{escape(text)}</{tag}>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """A table that scrolls in its own box where the page is narrow, and its caption.

    The caption stands outside, so that it is read without scrolling.
    """
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    below = element("p", caption, "context") if caption else ""
    return (
        f'<div class="wide" role="region" aria-label="table" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{_body(rows)}</tbody></table></div>"
        f"\n{below}"
    )


def items(texts: Sequence[str]) -> str:
    """The texts as a list."""
    return f"<ul>{''.join(element('li', text) for text in texts)}</ul>"


def command(line: str) -> str:
    """A shell command to copy, broken between its words alone."""
    words = (f"<span>{escape(word)}</span>" for word in line.split(" "))
    return f"<pre>{' '.join(words)}</pre>"


def folded(summary: str, content: str) -> str:
    """The content, shown when the reader opens it."""
    return f"<details>{element('summary', summary)}{content}</details>"


def facts(entries: Mapping[str, str]) -> str:
    """Names and values, one a line."""
    return f'<table class="facts"><tbody>{_body(entries.items())}</tbody></table>'


def figure(svg: str, number: int, caption: str) -> str:
    """The SVG document inside the page, with its caption."""
    return (
        f"<figure>\n{inline_svg(svg, f'figure{number}', caption)}\n"
        f"<figcaption><b>Figure {number}.</b> {escape(caption)}</figcaption></figure>"
    )


def inline_svg(svg: str, prefix: str, label: str) -> str:
    """The SVG element of a document, fit to stand beside others in one page.

    Its identifiers begin with the prefix, for each document uses the same; comments,
    which hold names, and namespaces, which HTML implies, are gone.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(href="|url\()#', rf"\g<1>#{prefix}-", svg)
    label = escape(label)
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1).strip()


def breakable(name: str) -> str:
    """The name, escaped; a long one may be broken where its options begin."""
    return re.sub(r"([(,])", r"\1<wbr>", escape(name))


def _body(rows) -> str:
    def line(cells) -> str:
        name, *others = cells
        cells = "".join(element("td", cell) for cell in others)
        return f"<tr><td>{breakable(name)}</td>{cells}</tr>"

    return "\n".join(map(line, rows))
