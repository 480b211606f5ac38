"""The checkpoints of all seeds of a run: saved together, and gone on from together."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cnnlab import training
from cnnlab.errors import UserError
from cnnlab.training import checkpoint
from cnnlab.training.snapshots import Snapshots
from cnnlab.training.state import Totals, TrainState
from experiments.workdir import WorkDirectory


class Position(NamedTuple):
    """Where a run is, seed by seed.

    Attributes:
        totals: sums over the examples of the epoch so far.
        notes: what else each seed has to remember, as JSON.
        seconds: what it took to come here.
    """

    step: int
    states: list[TrainState]
    totals: list[Totals]
    notes: list[Mapping[str, Any]]
    seconds: float


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
        self._path = directory.path
        self._scaling = scaling
        self._identity = dict(identity)
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

    def save(self, position: Position, scores: Sequence[float | None]) -> None:
        """Begins to write a position, where it is not stored already.

        Args:
            scores: each seed's; its best checkpoint is kept.
        """
        for place, store in enumerate(self._stores.values()):
            if position.step in store.steps:
                continue
            store.save(
                position.step,
                self._tree(position.states[place], position.totals[place]),
                metadata={
                    "identity": self._identity,
                    "notes": position.notes[place],
                    "seconds": position.seconds,
                },
                score=scores[place],
            )

    def restore(
        self, start: Sequence[TrainState], on_damage: Callable[[str], None]
    ) -> Position | None:
        """The last position that all seeds have; None where there is none.

        Args:
            start: states of the same kind.
            on_damage: is told of each damaged checkpoint, in a line.

        Raises:
            UserError: no checkpoint of some seed is whole, or they are of another run.
        """
        likes = [self._tree(state, Totals.none()) for state in start]
        pairs = list(zip(self._stores.values(), likes, strict=True))
        found = [store.restore(like, on_damage) for store, like in pairs]
        if None in found:
            return None
        step = min(each.step for each in found)
        found = [
            each if each.step == step else store.restore_step(step, like)
            for each, (store, like) in zip(found, pairs, strict=True)
        ]
        self._refuse_others(found[0].metadata["identity"])
        return Position(
            step,
            [_state(each.tree) for each in found],
            [each.tree["progress"]["totals"] for each in found],
            [each.metadata["notes"] for each in found],
            found[0].metadata["seconds"],
        )

    def wait(self) -> None:
        """Returns when nothing is being written."""
        for store in self._stores.values():
            store.wait()

    def last_step(self, seed: int) -> int | None:
        """The step of a seed's last checkpoint; None where it has none."""
        return max(self._stores[seed].steps, default=None)

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

    def _refuse_others(self, stored: Mapping[str, Any]) -> None:
        for name, here in self._identity.items():
            there = stored.get(name)
            if there != here:
                raise UserError(
                    "workdir",
                    f"'{self._path}' holds the checkpoints of another run: {name} is "
                    f"{there!r} there and {here!r} here; --overwrite replaces it",
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
    return jax.tree.map(jnp.asarray, state)
