"""Rates at 0, at every boundary and at the end, worked out by hand."""

import jax
import pytest
from rates import assert_rates

from cnnlab.training import Recipe
from cnnlab.training.schedules import schedules

# Of a run of 10 steps at a peak of 2.
RATES = {
    "constant": {0: 2, 5: 2, 10: 2},
    "piecewise(at=(4, 8), of=10)": {0: 2, 3: 2, 4: 0.2, 7: 0.2, 8: 0.02, 10: 0.02},
    "piecewise(at=(0.5,), of=1, factor=0.25)": {4: 2, 5: 0.5, 9: 0.5},
    # Both points at one step: both factors there.
    "piecewise(at=(49, 51), of=100, factor=0.5)": {4: 2, 5: 0.5},
    # A point before the first step's end.
    "piecewise(at=(1,), of=100)": {0: 2, 1: 0.2},
    "linear": {0: 2, 5: 1, 9: 0.2, 10: 0},
    "linear(final=0.5)": {0: 2, 5: 1.5, 10: 1},
    "cosine": {0: 2, 5: 1, 10: 0},
    "cosine(warmup=0.4)": {0: 0, 1: 0.5, 3: 1.5, 4: 2, 7: 1, 10: 0},
}


def plain(spec):
    return Recipe(steps=10, learning_rate=2.0, schedule=spec, momentum=0.0)


@pytest.mark.parametrize("spec", RATES)
def test_rates_are_those_worked_out_by_hand(spec):
    assert_rates(plain(spec), 10, RATES[spec])


@pytest.mark.parametrize(
    "spec", ["piecewise(at=(4, 8), of=10)", "linear(final=0.5)", "cosine(warmup=0.4)"]
)
def test_in_float64_rates_have_its_precision(spec):
    with jax.enable_x64(True):
        assert_rates(plain(spec), 10, RATES[spec], rtol=1e-14)


@pytest.mark.parametrize("total_steps", [1, 2, 3])
@pytest.mark.parametrize(
    "spec", [*RATES, "cosine(warmup=0.99)", "piecewise(at=(1, 99), of=100)"]
)
def test_the_shortest_runs_have_finite_rates_that_are_not_all_0(spec, total_steps):
    shape = schedules.resolve(spec)(total_steps)
    rates = [float(shape(step)) for step in range(total_steps + 1)]
    assert all(0 <= rate <= 1 for rate in rates)
    assert max(rates) == 1


@pytest.mark.parametrize(
    "spec",
    [
        "piecewise(at=(), of=1)",
        "piecewise(at=(2, 1), of=4)",
        "piecewise(at=(1, 1), of=4)",
        "piecewise(at=(0, 1), of=4)",
        "piecewise(at=(1, 4), of=4)",
        "piecewise(at=(1,), of=4, factor=0)",
        "linear(final=1.5)",
        "linear(final=-0.5)",
        "cosine(warmup=1.0)",
        "cosine(warmup=-0.1)",
    ],
)
def test_shapes_that_are_none_are_refused(spec):
    with pytest.raises(ValueError, match="^(at|factor|final|warmup) "):
        schedules.resolve(spec)(100)
