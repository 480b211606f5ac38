"""report.html: the question, its answer, the evidence, and how to make it again."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from cnnlab.reporting import (
    answers,
    figures,
    footer,
    own_tables,
    page,
    sections,
    shift_maps,
    tables,
    wording,
)
from cnnlab.reporting.size_curves import size_curves


class Drawing(NamedTuple):
    """A figure of an experiment's own, and what stands below it."""

    figure: Figure
    caption: str


Drawings = Mapping[str, Drawing]
"""By file name, in the report's order."""


def write(
    directory: Path,
    results: Mapping,
    metrics: Sequence[Mapping],
    more: Drawings | None = None,
) -> Path:
    """The path of the report, written into the directory with its figures.

    Args:
        directory: exists; receives report.html and figures/*.svg and *.png, each
            replaced as a whole.
        results: the content of results.json.
        metrics: the rows of metrics.jsonl.
        more: figures that stand before the others.

    Raises:
        OSError: the directory cannot be written.
    """
    directory = Path(directory)
    (directory / "figures").mkdir(exist_ok=True)
    shown = []
    drawings = dict(more or {})
    for name, figure in drawn(results, metrics).items():
        drawings[name] = Drawing(figure, _caption(name, results, metrics))
    for name, (figure, caption) in drawings.items():
        svg = figures.svg(figure)
        shown.append((svg, caption))
        base = directory / "figures" / name
        _replace(base.with_suffix(".svg"), svg.encode())
        _replace(base.with_suffix(".png"), figures.png(figure))
    path = directory / "report.html"
    _replace(path, page_of(results, shown).encode())
    return path


def drawn(results: Mapping, metrics: Sequence[Mapping]) -> dict[str, Figure]:
    """The figures that these results allow, by file name, in the report's order."""
    candidates = {
        "size_curves": size_curves(results),
        "accuracy": figures.accuracy(results),
        "learning_curves": figures.learning_curves(results, metrics),
        "shift_maps": shift_maps.shift_maps(results),
        "shift_curves": figures.shift_curves(results),
        "rate_curves": figures.rate_curves(results),
    }
    return {name: each for name, each in candidates.items() if each is not None}


def figure_paths(
    results: Mapping, metrics: Sequence[Mapping], more: Drawings | None = None
) -> list[str]:
    """The figure files that `write` leaves, relative to its directory."""
    return [
        f"figures/{name}.{kind}"
        for name in [*(more or {}), *drawn(results, metrics)]
        for kind in ("svg", "png")
    ]


def page_of(results: Mapping, shown: Sequence[tuple[str, str]]) -> str:
    """The report as HTML, given each figure's SVG document and caption."""
    parts = [
        page.element("h1", results["question"]),
        _unfinished(results),
        page.element("p", answers.answer(results), "answer"),
        page.element("p", _context(results), "context"),
        page.table(*tables.summary_rows(results), tables.interval_note(results)),
        '<div class="figures">',
        *(
            page.figure(svg, number, caption)
            for number, (svg, caption) in enumerate(shown, start=1)
        ),
        "</div>",
        own_tables.sections(results),
        sections.differences(results),
        sections.when_moved(results),
        sections.at_equal_cost(results),
        _choice(results),
        *footer.of_run(results),
    ]
    return page.document(results["question"], parts)


def _unfinished(results: Mapping) -> str:
    if results["status"] == "complete":
        return ""
    return page.element("p", f"This run is not complete: {results['status']}.")


def _context(results: Mapping) -> str:
    words = []
    dataset = results.get("dataset")
    if dataset:
        sizes = [
            f"{wording.count(dataset[split])} {purpose}"
            for split, purpose in (
                ("train", "to train on"),
                ("validation", "to choose on"),
                ("test", "to test on"),
            )
            if dataset.get(split)
        ]
        summary = dataset["summary"].rstrip(".")
        words.append(f"{summary}; {wording.listed(sizes)}.")
    models = sorted({arm["model"] for arm in results["arms"]})
    numbers = sorted({arm["test_accuracy"]["n"] for arm in results["arms"]})
    seeds = " or ".join(wording.seeds(number) for number in numbers)
    words.append(f"{wording.listed(models)}, {seeds} an arm.")
    return " ".join(words)


def _choice(results: Mapping) -> str:
    notes = list(results.get("notes") or [])
    rates = {
        rate["learning_rate"]
        for arm in results["arms"]
        for rate in arm.get("rates") or []
    }
    if len(rates) > 1:
        tried = wording.listed([tables.learning_rate(rate) for rate in sorted(rates)])
        chosen = (
            f"Learning rates {tried} were tried, and each arm took the one with its "
            "highest mean validation accuracy. "
        )
    else:
        chosen = ""
    chosen += (
        "The test set had no part in any choice: it was read when every arm was "
        "trained."
    )
    parts = [page.element("h2", "How choices were made"), page.element("p", chosen)]
    return "\n".join(parts + [page.element("p", note) for note in notes])


def _caption(name: str, results: Mapping, metrics: Sequence[Mapping]) -> str:
    single = all(arm["test_accuracy"]["n"] == 1 for arm in results["arms"])
    bars = (
        "" if single else f" Bars: {wording.CONFIDENCE} Student intervals over seeds."
    )
    bands = (
        "" if single else f" Bands: {wording.CONFIDENCE} Student intervals over seeds"
    )
    one = " One seed: no interval." if single else ""
    if name == "size_curves":
        bars = bars and f"{bars[:-1]}; one that meets the frame goes on beyond it."
        return (
            "Mean test accuracy against the number of training images, validation "
            f"included.{bars}{one}"
        )
    if name == "accuracy":
        ticks = "" if single else " Grey ticks: single seeds."
        return f"Mean test accuracy of each arm.{bars}{ticks}{one}"
    if name == "learning_curves":
        split = {"train": "the training set", "validation": "the validation set"}
        where = split[figures.accuracy_split(metrics)]
        bands = bands and f"{bands}; one that meets the frame goes on beyond it."
        return f"Accuracy on {where}, and training loss, after each epoch.{bands}{one}"
    if name == "shift_maps":
        return shift_maps.caption(results)
    if name == "shift_curves":
        measured = next(
            arm["shift_accuracy"]
            for arm in results["arms"]
            if arm.get("shift_accuracy")
        )
        images = wording.count(measured["examples"])
        return (
            f"Test accuracy as {images} test images move, zeros shifted in."
            f"{bands and bands + '.'}{one}"
        )
    return (
        "Validation accuracy after training at the learning rates tried, evenly "
        "spaced whatever their values. Arms are set side by side at a rate; a ring "
        f"marks the rate that the arm took.{bars}{one}"
    )


def _replace(path: Path, content: bytes) -> None:
    """Write the file so that a reader finds the old one or the new, never a part."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)
