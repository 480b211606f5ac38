"""The checkpoints of one run: written behind its back, the last few and the best kept.

A step's folder appears when all of it is on the disk, so that a process may end at any
moment, and a damaged one is passed over for the one before. One that is whole, and only
cannot be read here, is never passed over: nothing is changed then.
"""

import contextlib
import json
import math
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cnnlab.errors import UserError
from cnnlab.training import checkpoint
from cnnlab.training.checkpoint import PARTIAL
from cnnlab.training.checkpoint_index import Damaged, Index, read_index
from cnnlab.training.orbax_arrays import one_line

_ASIDE = ".aside"


class Restored(NamedTuple):
    """What was saved at a step, its arrays NumPy's."""

    step: int
    tree: Any
    metadata: Any


class Newest(NamedTuple):
    """The newest intact checkpoint, or None, and what is said of later damaged ones."""

    restored: Restored | None
    damaged: dict[int, str]


class Snapshots:
    """The checkpoints of one run, in `folder/<step>`.

    A context manager, which when left waits for what is being written. A checkpoint
    that cannot be written is a `UserError` about `workdir` of the next call.

    Args:
        keep: how many of the last are kept, and for each the best up to it, as a run
            may go on from any of them.
    """

    def __init__(self, folder: Path, *, keep: int = 2):
        if keep < 1:
            raise ValueError(f"keep {keep} is not at least 1")
        self._folder = folder.absolute()
        self._keep = keep
        for leftover in self._folder.glob("*" + PARTIAL):
            shutil.rmtree(leftover, ignore_errors=True)
        steps = (
            int(path.name)
            for path in self._folder.glob("[0-9]*")
            if _is_checkpoint(path)
        )
        self._scores = {step: self._stored_score(step) for step in steps}
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future | None = None

    @property
    def steps(self) -> tuple[int, ...]:
        """Those with a checkpoint on the disk, in order."""
        return tuple(sorted(self._scores))

    def save(
        self, step: int, tree: Any, *, metadata: Any = None, score: float | None = None
    ) -> None:
        """Begins to write a tree of arrays, once the write before it has ended.

        Args:
            tree: copied before this returns.
            metadata: JSON.
            score: the higher the better; the first of equal ones stays.
        """
        score = None if score is None or math.isnan(score) else float(score)
        # A copy, and an early word on what is no JSON.
        about = json.loads(json.dumps({"score": score, "metadata": metadata}))
        self.wait()
        # On a CPU, what device_get returns is the device's own memory.
        tree = jax.tree.map(np.array, jax.device_get(tree))
        self._writing = self._writer.submit(self._write, step, tree, about)

    def wait(self) -> None:
        """Returns when nothing is being written.

        Raises:
            UserError: about `workdir`: the checkpoint could not be written.
        """
        if self._writing is not None:
            wait_for([self._writing])
            ended, self._writing = self._writing, None
            ended.result()

    def restore(
        self,
        like: Any = None,
        on_damage: Callable[[str], None] = lambda line: None,
    ) -> Restored | None:
        """The newest checkpoint that is intact; None where there is none at all.

        Args:
            like: as in `checkpoint.restore`.
            on_damage: is told of each damaged one, in a line. They are set aside where
                an older one is intact: see `set_aside_after`.

        Raises:
            UserError: about `workdir`: every checkpoint is damaged, or one is of
                another tree, or cannot be read.
        """
        found, damaged = self.newest(like)
        instead = f"; that of step {found.step} is used" if found else ""
        for line in damaged.values():
            on_damage(line + instead)
        if damaged and found is None:
            raise UserError(
                "workdir",
                f"every checkpoint in '{self._folder}' is damaged; remove it to begin "
                "anew",
            )
        if found is not None:
            self.set_aside_after(found.step)
        return found

    def newest(self, like: Any = None, up_to: float = math.inf) -> Newest:
        """The newest checkpoint of a step up to `up_to` that is intact.

        Nothing on the disk is changed.

        Raises:
            UserError: about `workdir`: one is of another tree, or cannot be read.
        """
        self.wait()
        damaged = {}
        for step in reversed([step for step in self.steps if step <= up_to]):
            try:
                return Newest(self._read(step, like), damaged)
            except Damaged as error:
                damaged[step] = self._damage(step, error)
        return Newest(None, damaged)

    def restore_step(self, step: int, like: Any = None) -> Restored:
        """The checkpoint of `step`.

        Raises:
            UserError: about `workdir`: there is none, or it is damaged or of another
                tree.
        """
        self.wait()
        if step not in self._scores:
            choices = ", ".join(map(str, self.steps)) or "none"
            raise UserError(
                "workdir",
                f"'{self._folder}' has no checkpoint of step {step}, only {choices}",
            )
        try:
            return self._read(step, like)
        except Damaged as error:
            raise UserError("workdir", self._damage(step, error)) from error

    def set_aside_after(self, step: int) -> None:
        """Renames the checkpoints of later steps to `<step>.aside`.

        They are removed when one of their step, or of a later one, has been saved.

        Raises:
            UserError: about `workdir`: one cannot be renamed.
        """
        self.wait()
        for later in [saved for saved in self.steps if saved > step]:
            aside = self._folder / f"{later}{_ASIDE}"
            shutil.rmtree(aside, ignore_errors=True)
            try:
                os.rename(self._path(later), aside)
            except OSError as error:
                raise UserError(
                    "workdir", f"'{self._path(later)}': {one_line(error)}"
                ) from error
            del self._scores[later]

    def __enter__(self) -> "Snapshots":
        return self

    def __exit__(self, kind: Any, exception: BaseException | None, trace: Any) -> None:
        try:
            self.wait()
        except Exception as failure:
            if exception is None:
                raise
            exception.add_note(str(failure))
        finally:
            self._writer.shutdown()

    def _path(self, step: int) -> Path:
        return self._folder / str(step)

    def _write(self, step: int, tree: Any, about: dict[str, Any]) -> None:
        try:
            checkpoint.save(self._path(step), tree, about)
        except OSError as error:
            last = "there is no good one before it"
            if self.steps:
                last = f"the last good one is that of step {self.steps[-1]}"
            raise UserError(
                "workdir",
                f"the checkpoint of step {step} cannot be written to "
                f"'{self._folder}' ({one_line(error)}); {last}",
            ) from error
        self._scores[step] = about["score"]
        for aside in self._folder.glob("*" + _ASIDE):
            if int(aside.stem) <= step:
                shutil.rmtree(aside, ignore_errors=True)
        # What cannot be removed now is tried again after the next.
        with contextlib.suppress(OSError):
            self._retire()

    def _retire(self) -> None:
        scored = {step: s for step, s in self._scores.items() if s is not None}
        last = self.steps[-self._keep :]
        best = {
            max((s for s in sorted(scored) if s <= step), key=scored.get, default=None)
            for step in last
        }
        for step in set(self.steps) - best.union(last):
            self._remove(step)

    def _remove(self, step: int) -> None:
        # First under another name, so that no half of it passes for a checkpoint.
        removed = self._folder / f"{step}{PARTIAL}"
        os.rename(self._path(step), removed)
        del self._scores[step]
        shutil.rmtree(removed, ignore_errors=True)

    def _read(self, step: int, like: Any) -> Restored:
        path = self._path(step)
        metadata = _about(read_index(path))["metadata"]
        return Restored(step, checkpoint.restore(path, like), metadata)

    def _damage(self, step: int, error: Damaged) -> str:
        return f"the checkpoint of step {step} in '{self._folder}' is damaged ({error})"

    def _stored_score(self, step: int) -> float | None:
        # Whether it is damaged is for `restore` to find out.
        with contextlib.suppress(Damaged):
            return _about(read_index(self._path(step)))["score"]


def _about(index: Index) -> dict[str, Any]:
    """What `save` adds to a tree; `checkpoint.save` alone has added nothing."""
    return index.metadata or {"score": None, "metadata": None}


def _is_checkpoint(path: Path) -> bool:
    return path.name.isdecimal() and path.is_dir()
