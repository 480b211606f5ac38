"""Gathers finished runs in one folder, to keep in a repository.

Of every run the folder gets results.json and the figures, and a README.md gets its
tables, verdicts and command. Runs that the folder holds already stay.

  python -m experiments.collect runs/pooling_comparison/0a1b2c3d --output=docs/results
  python -m experiments.collect mnist_lenet5=runs/a mnist_resnet20=runs/b
"""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, ClassVar

from cnnlab.errors import UserError
from experiments.harness import flags

_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclasses.dataclass(frozen=True)
class Config:
    """Which runs, and where to."""

    experiment: ClassVar[str] = "collect"

    runs: tuple[str, ...] | None = flags.field(
        None,
        "work directories, each with a name of its own before it if wanted, as "
        "NAME=WORKDIR; also words that are no flags",
        words=True,
    )
    output: str = flags.field("docs/results", "folder that they are gathered in")

    def validate(self) -> None:
        """Raises UserError where no run is named, or one by no name for a folder."""
        if not self.runs:
            raise UserError("runs", "is empty; give at least one")
        names = [name for name, _ in map(_named, self.runs)]
        for name in names:
            if not _NAME.fullmatch(name):
                raise UserError(
                    "runs", f"{name!r} has other characters than A-Z a-z 0-9 . _ -"
                )
            if names.count(name) > 1:
                raise UserError("runs", f"{name} is given twice")


def run(config: Config) -> Path:
    """The page that was written.

    Raises:
        UserError: a run that is not there or not finished, or a folder that cannot be
            written.
    """
    from cnnlab.reporting import markdown
    from experiments.harness.storage import storing, write_whole

    config = flags.checked(config)
    found = {name: (path, _results(path)) for name, path in map(_named, config.runs)}
    output = Path(config.output).expanduser()
    with storing(output):
        for name, (path, results) in found.items():
            folder = output / name
            (folder / "figures").mkdir(parents=True, exist_ok=True)
            text = json.dumps(results, separators=(",", ":"))
            write_whole(folder / "results.json", text.encode())
            for figure in results["figures"]:
                if figure.endswith(".svg"):
                    write_whole(folder / figure, (path / figure).read_bytes())
    held = {
        path.parent.name: json.loads(path.read_text())
        for path in sorted(output.glob("*/results.json"))
    }
    page = output / "README.md"
    write_whole(page, markdown.page(held).encode())
    return page


def main(config: Config) -> None:
    """Gathers the runs, and says where the page is."""
    print(run(config))


def _named(run: str) -> tuple[str, Path]:
    name, separator, path = run.rpartition("=")
    path = Path(path).expanduser()
    return (name if separator else path.name), path


def _results(path: Path) -> dict[str, Any]:
    try:
        results = json.loads((path / "results.json").read_text())
    except (OSError, ValueError):
        raise UserError("runs", f"'{path}' holds no finished run") from None
    missing = {"arms", "comparisons", "dataset", "figures"} - set(results)
    if missing or results["status"] != "complete":
        raise UserError("runs", f"'{path}' holds no finished comparison")
    return results


if __name__ == "__main__":
    flags.main(Config, main, usage=__doc__)
