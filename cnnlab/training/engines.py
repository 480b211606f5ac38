"""Training several seeds of one net: one after the other, or as one program.

An engine packs the states of all seeds in the form that it works on, and makes steps of
all of them. What a seed computes is the same in each, but for rounding. In float64 it
stays so for many steps; in float32 the first step agrees, and later ones part, as
training is chaotic.
"""

import dataclasses
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
        else:
            packed = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        placement = self._placement(len(states))
        return packed if placement is None else jax.device_put(packed, placement)

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
        placement = self._placement(seeds)
        if placement is None:
            return data
        return jax.device_put(data, NamedSharding(placement.mesh, P()))

    def compile(
        self, states: Any, totals: Any, data: Resident, orders: Any
    ) -> Callable[[Any, Any, Resident, Any, int, int], tuple[Any, Any]]:
        """The program `(states, totals, data, orders, first, count)`.

        It gives the packed states and totals after `count` steps from step `first` of
        the epoch whose batches `orders` are, packed too, and gives up the buffers of
        what it got.
        """
        packed = states, totals, data, orders
        if self.name == "loop":
            seeds, arguments = len(orders), (states[0], totals[0], data, orders[0])
        else:
            seeds, arguments = jax.tree.leaves(orders)[0].shape[0], packed
        bounds = (np.int32(0),) * (2 if self.many_steps else 1)
        # Each call takes what the one before gave, wherever XLA would rather have it.
        placement = self._placement(seeds)
        advance = jax.jit(
            _advance,
            static_argnums=(0, 1, 2),
            donate_argnums=(3, 4),
            out_shardings=placement,
        )
        mesh = placement.mesh if self.name == "devices" else None
        compiled = advance.lower(
            self.task, self.name, mesh, *arguments, *bounds
        ).compile()

        def call(states, totals, data, orders, first, count):
            if self.many_steps:
                bounds = np.int32(first), np.int32(first + count)
                return compiled(states, totals, data, orders, *bounds)
            for at in range(first, first + count):
                states, totals = compiled(states, totals, data, orders, np.int32(at))
                if placement is not None:
                    # A CPU's devices wait for each other in each step, and two steps
                    # at once may take the threads that one of them needs.
                    jax.block_until_ready(totals)
            return states, totals

        def each(states, totals, data, orders, first, count):
            made = [
                call(state, sums, data, order, first, count)
                for state, sums, order in zip(states, totals, orders, strict=True)
            ]
            return tuple(zip(*made, strict=True))

        return each if self.name == "loop" else call

    def _placement(self, seeds: int) -> NamedSharding | None:
        """Where what is packed lies; None is the default device."""
        if self.name == "devices":
            return NamedSharding(seed_mesh(seeds), P("seed"))
        mesh = self.task.data_mesh
        return None if mesh is None else NamedSharding(mesh, P())


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


def candidates(task: Task, seeds: int) -> list[Engine]:
    """The engines that can serve so many seeds here."""
    many = devices.loops_are_fast(devices.platform())
    found = [Engine("loop", task, many)]
    if seeds > 1:
        found += [Engine(name, task, many) for name in ("map", "vmap")]
        if seed_mesh(seeds).size > 1:
            # A device takes whole batches, of its own seeds.
            alone = dataclasses.replace(task, data_mesh=None)
            found.append(Engine("devices", alone, many))
    return found
