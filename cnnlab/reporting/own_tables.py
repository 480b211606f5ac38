"""The tables that an experiment adds to its results, for the report and the terminal.

Each is a mapping of `title`, `header`, `rows` of text, and `note`; they stand in
results.json as `tables`.
"""

import textwrap
from collections.abc import Mapping

from cnnlab.reporting import page
from cnnlab.text_table import ruled

_WIDTH = 80


def sections(results: Mapping) -> str:
    """Each table under its title, as HTML."""
    parts = []
    for each in results.get("tables", ()):
        parts.append(page.element("h2", each["title"]))
        parts.append(page.table(each["header"], each["rows"], each["note"]))
    return "\n".join(parts)


def plain(results: Mapping) -> str:
    """Each table as text: the first column to the left, the others to the right."""
    return "\n\n".join(map(_plain, results.get("tables", ())))


def _plain(table: Mapping) -> str:
    texts = ruled(table["header"], table["rows"], numbers=True)
    note = textwrap.wrap(table["note"], _WIDTH)
    return "\n".join([table["title"], "", *texts, "", *note])
