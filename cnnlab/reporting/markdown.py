"""Results of several runs as one page of Markdown, for a repository."""

from collections.abc import Mapping, Sequence

from cnnlab.reporting import answers, sections, shift_maps, tables, verdicts, wording


def page(runs: Mapping[str, Mapping]) -> str:
    """The runs' results, by the folder that holds each: tables, verdicts, command."""
    parts = ["# Results", _overview(runs)]
    for folder, results in runs.items():
        parts += _section(folder, results)
    return "\n\n".join(parts) + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as a table, the first column to the left."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _overview(runs: Mapping[str, Mapping]) -> str:
    rows = [
        [
            f"[{folder}]({folder}/)",
            results["dataset"]["name"],
            wording.listed(_models(results)),
            wording.count(results["dataset"]["train"]),
            str(len(results["arms"])),
            str(results["arms"][0]["test_accuracy"]["n"]),
            str(sum(row["verdict"] == "resolved" for row in results["comparisons"])),
            str(len(results["comparisons"])),
        ]
        for folder, results in runs.items()
    ]
    header = ["run", "images", "model", "to train on", "arms", "seeds"]
    return table([*header, "differences resolved", "of"], rows)


def _section(folder: str, results: Mapping) -> list[str]:
    models = wording.listed(_models(results))
    seconds = results["seconds"]
    parts = [
        f"## {results['dataset']['name']}, {models}",
        answers.answer(results),
        table(*tables.summary_rows(results)),
        tables.interval_note(results),
    ]
    for own in results.get("tables", ()):
        parts.append(f"**{own['title']}**")
        parts += [table(own["header"], own["rows"]), own["note"]]
    header, rows = shift_maps.rows(results)
    if rows:
        parts += [table(header, rows), f"Measured by {shift_maps.specs(results)}."]
    for name, pairs in verdicts.by_metric(results["comparisons"]).items():
        resolved = [pair for pair in pairs if pair["verdict"] == "resolved"]
        told = f"{len(resolved)} of {len(pairs)} differences are resolved"
        parts.append(f"**{wording.metric(name).capitalize()}**: {told}.")
        parts.append(table(*verdicts.comparison_rows(pairs)))
        parts.append(sections.verdict_note(name, pairs))
    parts += [
        f"![{path}]({folder}/{path})"
        for path in results["figures"]
        if path.endswith(".svg")
    ]
    made = results["environment"]
    parts.append(f"```\n{results['command']}\n```")
    parts.append(
        f"Made on {made['date']} in {seconds / 3600:.1f} hours; all that the tables "
        f"hold is in [results.json]({folder}/results.json)."
    )
    return parts


def _models(results: Mapping) -> list[str]:
    return sorted({arm["model"] for arm in results["arms"]})


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
