"""Training several seeds of one net: one after the other, or as one program.

An engine packs the states of all seeds in the form that it works on, and makes steps of
all of them. What a seed computes is the same in each, but for rounding.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Int

from cnnlab.training import devices
from cnnlab.training.resident import Resident
from cnnlab.training.state import Totals, TrainState
from cnnlab.training.step import Method, train_step

ENGINES = ("loop", "map", "vmap", "devices")


@dataclasses.dataclass(frozen=True)
class Task:
    """What the steps of a run are, but for the state and the data.

    Attributes:
        augment: from a key and an image to an image, before it is normalised; None
            leaves images as they are.
        data_mesh: devices that share every batch among them, along their one axis; the
            batch's statistics are those of all of it.
    """

    model: nn.Module
    optimizer: optax.GradientTransformation
    method: Method = Method()
    augment: Callable[..., Array] | None = None
    data_mesh: Mesh | None = None

    def step(
        self,
        state: TrainState,
        totals: Totals,
        data: Resident,
        order: Int[Array, "steps batch"],
        at: Int[Array, ""],
    ) -> tuple[TrainState, Totals]:
        """The state and the sums after the step on the batch `order[at]`."""
        index = order[at]
        if self.data_mesh is not None:
            index = lax.with_sharding_constraint(index, batches(self.data_mesh))
        key = (state.seed, state.step)
        images, labels = data.batch(index, augment=self.augment, key=key)
        state, more = train_step(
            self.model, self.optimizer, state, images, labels, self.method
        )
        return state, totals.plus(more)


def batches(mesh: Mesh) -> NamedSharding:
    """How a batch lies on a mesh: its first axis along the mesh's."""
    return NamedSharding(mesh, P(mesh.axis_names[0]))


@dataclasses.dataclass(frozen=True)
class Engine:
    """Makes steps of all seeds of a run.

    Attributes:
        name: one of `ENGINES`. "loop" takes one seed after the other, "map" does so
            inside of one program, "vmap" computes them side by side, and "devices"
            spreads them over the devices, as many on each.
        many_steps: whether the steps of a call run in one compiled loop.
    """

    name: str
    task: Task
    many_steps: bool

    def pack(self, states: Sequence[Any]) -> Any:
        """Trees, one per seed, in the form that `program` takes."""
        if self.name == "loop":
            packed = tuple(states)
            mesh = self.task.data_mesh
            return packed if mesh is None else _replicate(packed, mesh)
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        if self.name == "devices":
            mesh = seed_mesh(len(states))
            return jax.device_put(stacked, NamedSharding(mesh, P("seed")))
        mesh = self.task.data_mesh
        return stacked if mesh is None else _replicate(stacked, mesh)

    def unpack(self, packed: Any) -> list[Any]:
        """The trees that were packed, as NumPy arrays."""
        packed = jax.device_get(packed)
        if self.name == "loop":
            return list(packed)
        leaves, structure = jax.tree.flatten(packed)
        return [
            jax.tree.unflatten(structure, seed) for seed in zip(*leaves, strict=True)
        ]

    def place(self, data: Resident, seeds: int) -> Resident:
        """The data where `program` needs it."""
        if self.name == "devices":
            return _replicate(data, seed_mesh(seeds))
        mesh = self.task.data_mesh
        return data if mesh is None else _replicate(data, mesh)

    def compile(
        self, states: Any, totals: Any, data: Resident, orders: Any
    ) -> Callable[[Any, Any, Resident, Any, int, int], tuple[Any, Any]]:
        """The program `(states, totals, data, orders, first, count)`.

        It gives the packed states and totals after `count` steps from step `first` of
        the epoch whose batches `orders` are, packed too, and gives up the buffers of
        what it got.
        """
        one = (states[0], totals[0], data, orders[0])
        arguments = one if self.name == "loop" else (states, totals, data, orders)
        seeds = len(jax.tree.leaves(orders)[0])
        mesh = seed_mesh(seeds) if self.name == "devices" else None
        step = np.int32(0)
        steps = (step, step) if self.many_steps else (step,)
        lowered = _advance.lower(self.task, self.name, mesh, *arguments, *steps)
        compiled = lowered.compile()

        def call(states, totals, data, orders, first, count):
            if self.many_steps:
                bounds = np.int32(first), np.int32(first + count)
                return compiled(states, totals, data, orders, *bounds)
            for at in range(first, first + count):
                states, totals = compiled(states, totals, data, orders, np.int32(at))
            return states, totals

        def each(states, totals, data, orders, first, count):
            made = [
                call(state, sums, data, order, first, count)
                for state, sums, order in zip(states, totals, orders, strict=True)
            ]
            return tuple(zip(*made, strict=True))

        return each if self.name == "loop" else call


@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3, 4))
def _advance(task, name, mesh, states, totals, data, orders, first, end=None):
    def seeds(carry, at):
        return _OVER_SEEDS[name](task.step, mesh)(*carry, data, orders, at)

    if end is None:
        return seeds((states, totals), first)
    return lax.fori_loop(
        first, end, lambda at, carry: seeds(carry, at), (states, totals)
    )


def _mapped(step, mesh):
    def steps(states, totals, data, orders, at):
        return lax.map(
            lambda seed: step(seed[0], seed[1], data, seed[2], at),
            (states, totals, orders),
        )

    return steps


def _spread(step, mesh):
    seeds, all_of_it = P("seed"), P()
    return jax.shard_map(
        _mapped(step, mesh),
        mesh=mesh,
        in_specs=(seeds, seeds, all_of_it, seeds, all_of_it),
        out_specs=(seeds, seeds),
    )


_OVER_SEEDS = {
    "loop": lambda step, mesh: step,
    "map": _mapped,
    "vmap": lambda step, mesh: jax.vmap(step, in_axes=(0, 0, None, 0, None)),
    "devices": _spread,
}


def seed_mesh(seeds: int) -> Mesh:
    """The devices that as many seeds each can be spread over."""
    found = jax.devices()
    most = max(n for n in range(1, len(found) + 1) if seeds % n == 0)
    return Mesh(np.array(found[:most]), ("seed",))


def data_mesh(batch_size: int) -> Mesh | None:
    """All devices, to share batches of that size; None where there is but one.

    Raises:
        ValueError: a batch that they cannot share evenly.
    """
    found = jax.devices()
    if len(found) == 1:
        return None
    if batch_size % len(found):
        raise ValueError(
            f"batch_size {batch_size} cannot be shared by {len(found)} devices evenly"
        )
    return Mesh(np.array(found), ("batch",))


def fastest(
    engines: Sequence[Engine],
    states: Sequence[TrainState],
    data: Resident,
    orders: Sequence[Array],
    *,
    steps: int = 3,
) -> tuple[Engine, dict[str, float]]:
    """The engine that makes steps soonest, and the seconds a step takes in each.

    The states are kept: steps are made of copies.
    """
    seconds = {}
    for engine in engines:
        copies = [jax.tree.map(jnp.copy, state) for state in states]
        packed = engine.pack(copies)
        totals = engine.pack([Totals.none() for _ in states])
        packed_orders, placed = engine.pack(orders), engine.place(data, len(states))
        program = engine.compile(packed, totals, placed, packed_orders)
        paces = []
        for at in range(steps + 1):
            at = min(at, len(orders[0]) - 1)
            began = time.perf_counter()
            packed, totals = jax.block_until_ready(
                program(packed, totals, placed, packed_orders, at, 1)
            )
            paces.append(time.perf_counter() - began)
        # The first call may page memory in.
        seconds[engine.name] = float(np.median(paces[1:]))
    best = min(seconds, key=seconds.__getitem__)
    return next(engine for engine in engines if engine.name == best), seconds


def candidates(task: Task, seeds: int) -> list[Engine]:
    """The engines that can serve so many seeds here."""
    many = devices.loops_are_fast(devices.platform())
    names = ["loop"]
    if seeds > 1:
        names += ["map", "vmap"]
        if seed_mesh(seeds).size > 1 and task.data_mesh is None:
            names.append("devices")
    return [Engine(name, task, many) for name in names]


def _replicate(tree: Any, mesh: Mesh) -> Any:
    return jax.device_put(tree, NamedSharding(mesh, P()))
