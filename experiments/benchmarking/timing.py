"""Contenders that take turns, so that a busy machine slows all of them alike."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# A turn has no more steps: as in training, a step then finds the operator's own data at
# hand, and the clock's own cost is nothing.
_TURN_STEPS = 10


@dataclasses.dataclass(frozen=True)
class Contender:
    """One way to do the work of a row.

    Attributes:
        run: makes that many steps, and returns when they are done; it may give the
            seconds that they took, where not all of its time is theirs.
        compile_seconds: what tracing, lowering and compiling took; None if unknown.
        temporary_bytes: what a step needs beside its inputs and outputs; None likewise.
    """

    run: Callable[[int], float | None]
    compile_seconds: float | None = None
    temporary_bytes: int | None = None


# What is timed, and each contender's maker under its name: ours is among them.
Row = tuple[str, dict[str, Callable[[], Contender]]]


def stepping(step: Callable, state: Any, *constants: Any) -> Contender:
    """Steps `state = step(state, *constants)`, compiled, into the state's own buffers.

    Constants are arguments, because the compiler would fold them into the program.
    """
    return _compiled(step, state, constants, calls_per_step=True)


def looping(step: Callable, state: Any, *constants: Any) -> Contender:
    """As `stepping`, with the steps of a turn in one `lax.fori_loop`."""
    from jax import lax

    def many_steps(state, count, *constants):
        def body(_, state):
            return step(state, *constants)

        return lax.fori_loop(0, count, body, state)

    return _compiled(many_steps, state, constants, calls_per_step=False)


def _compiled(function, state, constants, *, calls_per_step):
    import jax

    state = jax.tree.map(lambda leaf: leaf.copy(), state)
    count = () if calls_per_step else (0,)
    began = time.perf_counter()
    # The state may hold a result that the step only writes.
    jitted = jax.jit(function, donate_argnums=0, keep_unused=True)
    program = jitted.lower(state, *count, *constants).compile()
    seconds = time.perf_counter() - began
    held = [state]

    def run(steps):
        if calls_per_step:
            for _ in range(steps):
                held[0] = program(held[0], *constants)
        else:
            held[0] = program(held[0], steps, *constants)
        jax.block_until_ready(held[0])

    memory = program.memory_analysis()
    temporary = getattr(memory, "temp_size_in_bytes", None)
    return Contender(run, seconds, temporary)


def interleaved(
    contenders: Mapping[str, Contender], rounds: int, turn_seconds: float = 0.1
) -> dict[str, float]:
    """The median milliseconds of a step of each contender.

    Args:
        turn_seconds: how long a turn lasts at least, where it has no more than
            `_TURN_STEPS` steps.
    """
    steps, times = {}, {}
    for name, contender in contenders.items():
        contender.run(1)
        seconds = _seconds(contender, 1)
        steps[name] = min(_TURN_STEPS, math.ceil(turn_seconds / seconds))
        times[name] = []
    for _ in range(rounds):
        for name, contender in contenders.items():
            times[name].append(_seconds(contender, steps[name]) / steps[name])
    return {name: 1e3 * float(np.median(values)) for name, values in times.items()}


def _seconds(contender, steps):
    began = time.perf_counter()
    told = contender.run(steps)
    return time.perf_counter() - began if told is None else told
