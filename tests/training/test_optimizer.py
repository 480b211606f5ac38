"""The schedule of the rate, and how rates share compiled code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from cnnlab.ops import max_pool
from cnnlab.training import TrainState, momentum_sgd, with_learning_rate

TOTAL, WARMUP = 20, 5


@pytest.fixture
def rates():
    """The function from a peak rate to the rates of all steps, read off the updates."""
    optimizer = momentum_sgd(TOTAL, momentum=0.0, warmup=WARMUP / TOTAL)
    update = jax.jit(optimizer.update)

    def of(peak):
        param = jnp.zeros(())
        state = TrainState(jnp.int32(0), jnp.int32(0), param, {}, optimizer.init(param))
        opt_state = with_learning_rate(state, peak).opt_state
        steps = []
        for _ in range(TOTAL + 1):
            step, opt_state = update(jnp.ones(()), opt_state, param)
            steps.append(-float(step))
        return np.array(steps)

    return of


def test_the_rate_rises_linearly_then_falls_as_a_cosine_to_0(rates):
    got = rates(0.3)
    rise = np.arange(WARMUP) / WARMUP
    fall = np.arange(TOTAL - WARMUP + 1) / (TOTAL - WARMUP)
    wanted = 0.3 * np.concatenate([rise, (1 + np.cos(np.pi * fall)) / 2])
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)
    assert got[0] == 0
    assert got.argmax() == WARMUP


def test_the_peak_scales_the_whole_schedule(rates):
    np.testing.assert_allclose(rates(0.6), 2 * rates(0.3), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("total_steps", [1, 2, 3])
def test_the_shortest_runs_have_finite_rates(total_steps):
    optimizer = momentum_sgd(total_steps)
    opt_state = optimizer.init(jnp.zeros(()))
    for _ in range(total_steps):
        step, opt_state = optimizer.update(jnp.ones(()), opt_state, jnp.zeros(()))
        assert jnp.isfinite(step)


@pytest.mark.parametrize("many_steps", [False, True])
def test_rates_seeds_and_epochs_share_what_is_compiled(many_steps):
    traces = []

    def traced_pool(x, *window):
        traces.append(x.shape)
        return max_pool(x, *window)

    model = tiny.Net(traced_pool)

    def train(learning_rate, seed, epoch):
        state = tiny.begin(model, seed, learning_rate)
        tiny.train_epoch(model, state, seed=seed, epoch=epoch, many_steps=many_steps)

    def batches_traced():
        return sum(shape[0] == tiny.BATCH_SIZE for shape in traces)

    train(0.05, 0, 0)
    once = batches_traced()
    assert once
    train(0.1, 0, 1)
    train(0.2, 1, 0)
    assert batches_traced() == once
