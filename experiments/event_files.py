"""TensorBoard's event files, from the lines of metrics.jsonl."""

import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError
from cnnlab.run_layout import arm_directory


def require() -> None:
    """Raises a UserError where the package that writes event files is missing."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise UserError(
            "tensorboard", "needs tensorboardX: pip install 'cnnlab[tensorboard]'"
        )


class EventFiles:
    """A folder of event files, one run of TensorBoard's for each arm, seed and split.

    They are written anew from `lines`, as a run that goes on drops some of them.
    """

    def __init__(self, folder: Path, lines: Sequence[Mapping[str, Any]]):
        shutil.rmtree(folder, ignore_errors=True)
        self._folder = folder
        self._writers: dict[Path, Any] = {}
        for line in lines:
            self.add(line)

    def add(self, line: Mapping[str, Any]) -> None:
        """Writes a line's numbers at its step."""
        from tensorboardX import SummaryWriter

        name = arm_directory(line["arm"]), f"seed{line['seed']}", line["split"]
        path = self._folder.joinpath(*name)
        if path not in self._writers:
            self._writers[path] = SummaryWriter(str(path))
        writer = self._writers[path]
        for quantity in ("loss", "accuracy", "learning_rate"):
            if line.get(quantity) is not None:
                writer.add_scalar(quantity, line[quantity], line["step"])
        writer.flush()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
