"""What ends a report: how to make it again, and under what it was made."""

import json
from collections.abc import Mapping

from cnnlab.reporting import page, wording


def of_run(results: Mapping) -> list[str]:
    """The command, the time it took, the flags and the versions, as HTML."""
    configuration = results.get("config", {}) | {"hash": results["config_hash"]}
    return [
        page.element("h2", "Make it again"),
        page.command(results["command"]),
        page.element("p", _time(results), "context"),
        *_recipe(results),
        page.element("h2", "Configuration"),
        page.facts(_texts(configuration)),
        page.element("h2", "Environment"),
        page.facts(_texts(results["environment"])),
    ]


def _time(results: Mapping) -> str:
    """How long it took; of a training, what went by before the first step.

    The latter is of the process that wrote the report, which may have gone on from
    where an earlier one was stopped.
    """
    took = wording.duration(results["seconds"])
    if results.get("first_step_seconds") is None:
        return f"The run took {took}."
    number = results["programs_compiled"]
    programs = "1 program" if number == 1 else f"{number} programs"
    return (
        f"The run took {took}, without starting and compiling. In the process that "
        f"ended it the first step ended {results['first_step_seconds']:.1f} seconds "
        f"after the start, for which {programs} had to be compiled; compiling the "
        f"steps of the nets that it trained took {results['compile_seconds']:.1f} "
        "seconds."
    )


def _recipe(results: Mapping) -> list[str]:
    """How the nets were trained, where the configuration says it only in part."""
    if not results.get("recipe"):
        return []
    return [page.element("h2", "Recipe"), page.facts(_texts(results["recipe"]))]


def _texts(entries: Mapping) -> dict[str, str]:
    return {
        str(name): value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in entries.items()
    }
