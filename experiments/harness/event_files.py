"""TensorBoard's event files, from the lines of metrics.jsonl."""

import importlib.util
import shutil
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError
from cnnlab.run_layout import arm_directory
from experiments.harness.storage import make_directory, storing

# TensorBoard reads the files that have "tfevents" in their names.
_NAME = "events.out.tfevents"
_VERSION = "brain.Event:2"
_QUANTITIES = "loss", "accuracy", "learning_rate"


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
        with storing(folder):
            if folder.exists():
                shutil.rmtree(folder)
        self._folder = folder
        for line in lines:
            self.add(line)

    def add(self, line: Mapping[str, Any]) -> None:
        """Writes a line's numbers at its step.

        Raises:
            UserError: about `workdir`: they cannot be written.
        """
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        name = arm_directory(line["arm"]), f"seed{line['seed']}", line["split"]
        path = self._folder.joinpath(*name, _NAME)
        events = [
            Event(step=line["step"], summary=scalar(quantity, line[quantity]))
            for quantity in _QUANTITIES
            if line.get(quantity) is not None
        ]
        if not path.exists():
            events.insert(0, Event(file_version=_VERSION))
        for event in events:
            event.wall_time = time.time()
        records = b"".join(_record(event.SerializeToString()) for event in events)
        make_directory(path.parent)
        # The package's own writers have threads, which die of a full disk unheard.
        with storing(path), open(path, "ab") as file:
            file.write(records)


def _record(data: bytes) -> bytes:
    """A record of the format that event files have: its length, its content, sums."""
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(data))
    sums = (struct.pack("<I", masked_crc32c(part)) for part in (length, data))
    return length + next(sums) + data + next(sums)
