"""What ends a report: how to make it again, and under what it was made."""

import json
from collections.abc import Mapping

from cnnlab.reporting import page


def of_run(results: Mapping) -> list[str]:
    """The command, the time it took, the flags and the versions, as HTML."""
    return [
        page.element("h2", "Make it again"),
        page.command(results["command"]),
        page.element("p", f"It took {results['seconds']:.0f} seconds.", "context"),
        page.element("h2", "Configuration"),
        page.facts(_texts(results["config"] | {"hash": results["config_hash"]})),
        page.element("h2", "Environment"),
        page.facts(_texts(results["environment"])),
    ]


def _texts(entries: Mapping) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in entries.items()
    }
