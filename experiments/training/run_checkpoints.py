"""The checkpoints of all seeds of a run: saved together, and gone on from together."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from cnnlab import training
from cnnlab.errors import UserError
from cnnlab.run_layout import checkpoints
from cnnlab.training import checkpoint
from cnnlab.training.checkpoint_index import Unreadable
from cnnlab.training.snapshots import Restored, Snapshots
from cnnlab.training.state import Totals, TrainState
from experiments.harness.workdir import WorkDirectory


class Position(NamedTuple):
    """Where a run is, seed by seed.

    Attributes:
        totals: sums over the examples of the epoch so far.
        lined: whether the epoch has ended, and its lines are written.
        notes: what else each seed has to remember, as JSON.
        facts: what else the run has to remember, as JSON.
    """

    step: int
    states: Sequence[TrainState]
    totals: Sequence[Totals]
    lined: bool
    notes: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]


class _Lost(NamedTuple):
    """A checkpoint that is missing or damaged, and what is said of it."""

    step: int
    seed: int
    message: str


class RunCheckpoints(contextlib.AbstractContextManager):
    """One folder of checkpoints for each seed, in a work directory.

    When left it waits for what is being written.

    Args:
        identity: what the run is; another's checkpoints are refused.
        keep: how many of each seed are kept beside its best, at least 2: a process may
            end when one seed's is written and the next one's is not.
    """

    def __init__(
        self,
        directory: WorkDirectory,
        arm: str,
        seeds: Sequence[int],
        scaling: training.Scaling,
        identity: Mapping[str, Any],
        keep: int,
    ):
        self._scaling = scaling
        self._identity = dict(identity)
        self._folders = {seed: checkpoints(directory.path, arm, seed) for seed in seeds}
        with contextlib.ExitStack() as stack:
            self._stores = {
                seed: stack.enter_context(
                    Snapshots(directory.checkpoints(arm, seed), keep=keep)
                )
                for seed in seeds
            }
            self._stack = stack.pop_all()

    def __exit__(self, *exception: Any) -> bool | None:
        return self._stack.__exit__(*exception)

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint at all."""
        return any(store.steps for store in self._stores.values())

    def save(self, position: Position, scores: Sequence[float | None]) -> None:
        """Begins to write a position.

        Args:
            scores: each seed's; its best checkpoint is kept.
        """
        for place, (seed, store) in enumerate(self._stores.items()):
            store.save(
                position.step,
                self._tree(position.states[place], position.totals[place]),
                metadata={
                    "identity": self._identity | {"seed": seed},
                    "lined": position.lined,
                    "notes": position.notes[place],
                    "facts": position.facts,
                },
                score=scores[place],
            )

    def restore(
        self,
        like: Sequence[TrainState],
        on_damage: Callable[[str], None],
        needed: Callable[[Mapping[str, Any]], int] = lambda notes: 0,
    ) -> Position | None:
        """The last position that all seeds have whole; None where there is none.

        Checkpoints of later steps are set aside, as `Snapshots.set_aside_after` does:
        they are made again.

        Args:
            like: states of the same kind, or their shapes.
            on_damage: is told of each damaged checkpoint, in a line.
            needed: from a seed's notes to the step of another checkpoint that has to
                be whole, or 0; where it is not, the position is one from before it,
                as the same steps make it again.

        Raises:
            UserError: they are of another run, or one that is not damaged cannot be
                read. Nothing on the disk is changed then.
        """
        likes = [self._tree(state, jax.eval_shape(Totals.none)) for state in like]
        told: dict[str, None] = {}
        found = self._newest_alike(likes, math.inf, told)
        while None not in found and (lost := self._first_lost(found, needed)):
            told[f"{lost.message}; the run goes back to make it again"] = None
            found = self._newest_alike(likes, lost.step - 1, told)
        for line in told:
            on_damage(line)
        step = -1 if None in found else found[0].step
        for store in self._stores.values():
            store.set_aside_after(step)
        if None in found:
            return None
        return Position(
            step,
            [_state(each.tree) for each in found],
            [each.tree["progress"]["totals"] for each in found],
            all(each.metadata["lined"] for each in found),
            [each.metadata["notes"] for each in found],
            found[0].metadata["facts"],
        )

    def wait(self) -> None:
        """Returns when nothing is being written."""
        for store in self._stores.values():
            store.wait()

    def last(self, seed: int) -> Path | None:
        """The folder of a seed's last checkpoint; None where it has none."""
        steps = self._stores[seed].steps
        return self._folders[seed] / str(steps[-1]) if steps else None

    def net(self, seed: int, step: int) -> dict[str, Any]:
        """The variables of a seed's net at a step, with averaged weights if it has any.

        Raises:
            UserError: it has no whole checkpoint of that step.
        """
        return checkpoint.net_of(self._stores[seed].restore_step(step).tree)

    def _tree(self, state: TrainState, totals: Totals) -> dict[str, Any]:
        """A checkpoint's arrays: a net as `training.load` reads it, and the rest."""
        return {
            "params": state.params,
            "batch_stats": state.batch_stats,
            "average": state.average or {},
            "scaling": self._scaling._asdict(),
            "progress": {
                "step": state.step,
                "seed": state.seed,
                "opt_state": state.opt_state,
                "totals": totals,
            },
        }

    def _newest_alike(
        self, likes: Sequence[Any], up_to: float, told: dict[str, None]
    ) -> list[Restored | None]:
        """The last checkpoint of each seed, all of one step or all none.

        Adds to `told` what is to be said of damage.
        """
        while True:
            found = []
            for (seed, store), like in zip(self._stores.items(), likes, strict=True):
                newest, damaged = store.newest(like, up_to)
                self._refuse_other(seed, newest)
                instead = f"; that of step {newest.step} is used" if newest else ""
                told.update({line + instead: None for line in damaged.values()})
                found.append(newest)
            steps = {-1 if each is None else each.step for each in found}
            if len(steps) == 1:
                return found
            # A seed may have to go back further, where others have not come that far.
            up_to = min(steps)

    def _first_lost(
        self,
        found: Sequence[Restored],
        needed: Callable[[Mapping[str, Any]], int],
    ) -> _Lost | None:
        """The earliest of the checkpoints that are needed and not whole."""
        lost = []
        for (seed, store), each in zip(self._stores.items(), found, strict=True):
            step = needed(each.metadata["notes"])
            if step in (0, each.step):
                continue
            try:
                store.restore_step(step)
            except Unreadable:
                raise
            except UserError as error:
                lost.append(_Lost(step, seed, error.message))
        return min(lost, default=None)

    def _refuse_other(self, seed: int, found: Restored | None) -> None:
        if found is None:
            return
        stored = (found.metadata or {}).get("identity", {})
        for name, here in (self._identity | {"seed": seed}).items():
            there = stored.get(name)
            if there != here:
                raise UserError(
                    "workdir",
                    f"'{self._folders[seed]}' holds a checkpoint of another run: "
                    f"{name} is {there!r} there and {here!r} here; --overwrite "
                    "replaces it",
                )


def _state(tree: Mapping[str, Any]) -> TrainState:
    progress = tree["progress"]
    state = TrainState(
        step=progress["step"],
        seed=progress["seed"],
        params=tree["params"],
        batch_stats=tree["batch_stats"],
        opt_state=progress["opt_state"],
        average=tree["average"] or (),
    )
    # Nothing is compiled for that.
    return jax.device_put(state)
