"""The engine that is chosen is the one whose steps take least."""

import dataclasses
import time

import jax
import jax.numpy as jnp
import many_seeds
import optax
import pytest
import tiny

from cnnlab.training import resident, scaling_of
from cnnlab.training.engines import Engine, Task
from cnnlab.training.fastest import fastest

TASK = Task(tiny.SoftmaxRegression(), optax.sgd(0.1))


@dataclasses.dataclass
class Clock:
    """A time that passes where it is told to."""

    seconds: float = 0.0

    def __call__(self):
        return self.seconds


@dataclasses.dataclass(frozen=True)
class Paced(Engine):
    """An engine whose steps take what is said, and its first call a second more.

    As real ones do, its program gives up the buffers that it gets.
    """

    clock: Clock = None
    pace: float = 0.0
    short_of_memory: bool = False

    def compile(self, *arguments):
        if self.short_of_memory:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        self.clock.seconds += 100
        waits = [1.0]

        def program(states, totals, data, orders, first, count):
            assert 0 <= first < first + count <= many_seeds.STEPS
            self.clock.seconds += self.pace * count + sum(waits)
            waits.clear()
            made = jax.tree.map(jnp.copy, (states, totals))
            jax.tree.map(lambda leaf: leaf.delete(), (states, totals))
            return made

        return program


def choose(monkeypatch, *paced):
    """What is chosen, the seconds that are told, and the states that were given."""
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    engines = [Paced(*each[:3], clock, *each[3:]) for each in paced]
    states = [many_seeds.start(TASK, seed, "float32") for seed in range(2)]
    data = resident(tiny.split(), scaling_of(tiny.split()))
    orders = [many_seeds.order(seed) for seed in range(2)]
    best, seconds = fastest(engines, states, data, orders)
    return best.name, seconds, states


@pytest.mark.parametrize("many_steps", [False, True])
def test_the_least_time_per_step_wins_and_states_stay(monkeypatch, many_steps):
    name, seconds, states = choose(
        monkeypatch,
        ("loop", TASK, many_steps, 0.5),
        ("vmap", TASK, many_steps, 0.25),
        ("map", TASK, many_steps, 0.75),
    )
    assert name == "vmap"
    assert seconds == pytest.approx({"loop": 0.5, "vmap": 0.25, "map": 0.75})
    for seed, state in enumerate(states):
        tiny.assert_trees_equal(state, many_seeds.start(TASK, seed, "float32"))


def test_an_engine_without_memory_enough_is_passed_over(monkeypatch):
    name, seconds, _ = choose(
        monkeypatch, ("loop", TASK, False, 0.5), ("vmap", TASK, False, 0.25, True)
    )
    assert name == "loop"
    assert list(seconds) == ["loop"]


def test_without_memory_for_the_first_there_is_no_choice(monkeypatch):
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        choose(monkeypatch, ("loop", TASK, False, 0.5, True))
