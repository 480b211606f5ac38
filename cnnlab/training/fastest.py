"""Which engine trains the seeds of a run soonest, measured."""

import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnnlab.training.engines import Engine
from cnnlab.training.resident import Resident
from cnnlab.training.state import Totals, TrainState


def fastest(
    engines: Sequence[Engine],
    states: Sequence[TrainState],
    data: Resident,
    orders: Sequence[Array],
    *,
    steps: int = 3,
) -> tuple[Engine, dict[str, float]]:
    """The engine that makes steps soonest, and the seconds a step takes in each.

    The states are kept: steps are made of copies. An engine for which there is not
    enough memory is passed over, where it is not the first.

    Args:
        steps: how many calls are timed; in a compiled loop, also the steps of each.
    """
    seconds = {}
    for engine in engines:
        try:
            seconds[engine.name] = _pace(engine, states, data, orders, steps)
        except jax.errors.JaxRuntimeError as error:
            if not seconds or "RESOURCE_EXHAUSTED" not in str(error):
                raise
    best = min(seconds, key=seconds.__getitem__)
    return next(engine for engine in engines if engine.name == best), seconds


def _pace(engine, states, data, orders, calls):
    packed = engine.pack([jax.tree.map(jnp.copy, state) for state in states])
    totals = engine.pack([Totals.none() for _ in states])
    orders, data = engine.pack(orders), engine.place(data, len(states))
    program = engine.compile(packed, totals, data, orders)
    length = jax.tree.leaves(orders)[0].shape[-2]
    count = min(calls, length) if engine.many_steps else 1
    paces = []
    for call in range(calls + 1):
        first = min(call * count, length - count)
        began = time.perf_counter()
        packed, totals = jax.block_until_ready(
            program(packed, totals, data, orders, first, count)
        )
        paces.append((time.perf_counter() - began) / count)
    # The first call may page memory in.
    return float(np.median(paces[1:]))
