"""A pass over the training set: what it sees, what it says, how it is run."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from cnnlab.ops import pools
from cnnlab.training import Diverged, devices, epoch_order, predictor, score
from cnnlab.training import epoch as training_epoch
from cnnlab.training.checkpoint import params_hash

STEPS = tiny.EXAMPLES // tiny.BATCH_SIZE
FORMS = pytest.mark.parametrize("many_steps", [False, True], ids=["single", "looped"])


@pytest.fixture(autouse=True)
def calls_of_one_step_and_then_two(monkeypatch):
    """Calls grow as they do on a fast machine, however busy this one is."""
    monkeypatch.setattr(training_epoch, "SECONDS_PER_CALL", 1e6)


def test_both_forms_agree():
    model = tiny.Net("stochastic_pool", normalised=True)
    states, epochs = zip(
        *(
            tiny.train_epoch(model, tiny.begin(model), many_steps=many_steps)
            for many_steps in (False, True)
        ),
        strict=True,
    )
    tiny.assert_trees_close(*states)
    assert states[0].step == states[1].step == STEPS
    assert epochs[0].accuracy == epochs[1].accuracy
    np.testing.assert_allclose(epochs[0].loss, epochs[1].loss, rtol=1e-5)


@FORMS
def test_an_epoch_reports_the_means_over_the_examples_it_saw(many_steps):
    model, data = tiny.Net(), tiny.data()
    # At rate 0 all batches meet the same parameters.
    state = tiny.begin(model, learning_rate=0.0)
    predict = predictor(model, tiny.begin(model).variables, data.scaling)
    _, epoch = tiny.train_epoch(model, state, seed=3, epoch=1, many_steps=many_steps)
    seen = epoch_order(
        jnp.arange(tiny.EXAMPLES), 3, 1, batch_size=tiny.BATCH_SIZE
    ).ravel()
    split = tiny.split()
    wanted = score(predict(split.images[seen]), split.labels[seen])
    np.testing.assert_allclose(epoch.loss, wanted.loss, rtol=1e-5)
    np.testing.assert_allclose(epoch.accuracy, wanted.accuracy, rtol=1e-6)


@FORMS
def test_progress_adds_up_to_the_epoch(many_steps):
    model, told = tiny.Net(), []
    state, epoch = tiny.train_epoch(
        model,
        tiny.begin(model),
        on_progress=lambda *news: told.append(news),
        many_steps=many_steps,
    )
    counts, losses = map(np.array, zip(*told, strict=True))
    assert counts.tolist() == [1, 2]
    assert counts.sum() == epoch.steps == state.step == STEPS
    np.testing.assert_allclose((counts * losses).sum() / STEPS, epoch.loss, rtol=1e-6)
    assert len(epoch.step_seconds) == len(told)
    spent = (counts * epoch.step_seconds).sum()
    assert 0 < spent <= epoch.seconds


def batches_seen(pool, seed, epochs=2):
    """The batches that the model is applied to, in their order."""
    # A function that no other model has is compiled anew, with the recording in it.
    model, seen = tiny.Net(functools.partial(pools[pool])), []

    def record(call, args, keywords, context):
        if isinstance(context.module, tiny.Net):
            jax.debug.callback(
                lambda x: seen.append(np.array(x)), args[0], ordered=True
            )
        return call(*args, **keywords)

    state = tiny.begin(model, seed)
    with nn.intercept_methods(record):
        for epoch in range(epochs):
            state, _ = tiny.train_epoch(model, state, seed=seed, epoch=epoch)
    jax.effects_barrier()
    return np.stack(seen)


def test_arms_see_the_same_batches_in_the_same_order():
    arms = "max_pool", "stochastic_pool", "gated_pool"
    first, *others = (batches_seen(pool, seed=2) for pool in arms)
    assert first.shape == (2 * STEPS, tiny.BATCH_SIZE, *tiny.IMAGE_SHAPE)
    assert (first[:STEPS] != first[STEPS:]).any()
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_seeds_see_other_batches():
    first, other = (batches_seen("max_pool", seed, epochs=1) for seed in (0, 1))
    assert (first != other).any()


@FORMS
def test_a_loss_that_is_not_finite_ends_the_epoch(many_steps):
    model, told = tiny.Net(), []
    with pytest.raises(Diverged, match="not finite at step") as error:
        tiny.train_epoch(
            model,
            tiny.begin(model, learning_rate=1e38),
            many_steps=many_steps,
            on_progress=lambda steps, loss: told.append(loss),
        )
    # The first step is at rate 0 and the second one ruins the parameters.
    assert error.value.step == 3
    assert all(map(math.isfinite, told))


def test_a_run_is_a_function_of_its_seed():
    model = tiny.Net("stochastic_pool", normalised=True)
    first, again, other = (
        params_hash(tiny.train(model, seed=seed, many_steps=False).variables)
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_training_lowers_the_loss():
    model, state, losses = tiny.Net(), tiny.begin(tiny.Net()), []
    for epoch in range(4):
        state, measured = tiny.train_epoch(model, state, epoch=epoch)
        losses.append(measured.loss)
    assert losses[-1] < losses[0] / 2


def test_steps_run_in_a_loop_on_accelerators_alone():
    assert not devices.loops_are_fast("cpu")
    assert devices.loops_are_fast("gpu")
    assert devices.loops_are_fast("tpu")
