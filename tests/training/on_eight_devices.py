"""What eight devices have to give; a program of its own, as JAX counts them once."""

import dataclasses

import jax
import many_seeds
import numpy as np
import optax
import tiny
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from many_seeds import BATCH_SIZE, LONG, ONE_STEP, STEPS

from cnnlab.training import Method, evaluation, predictor
from cnnlab.training.engines import Engine, Task, data_mesh, seed_mesh


def shared(task, engine="loop"):
    """The engine whose batches all devices share."""
    mesh = data_mesh(BATCH_SIZE)
    assert mesh.size == 8
    return Engine(engine, dataclasses.replace(task, data_mesh=mesh), many_steps=False)


def assert_long_runs_agree(engine, seeds, judged):
    """In float64, every array of a state after all steps, to 1e-8."""
    with jax.enable_x64(True):
        states, totals = many_seeds.together(engine, STEPS, "float64", seeds=seeds)
        for seed in judged:
            wanted, sums = many_seeds.alone(LONG, seed, STEPS, "float64")
            # Of all images of a batch, not of a device's.
            assert wanted.batch_stats
            assert states[seed].step == STEPS
            many_seeds.assert_same_state(states[seed], wanted)
            np.testing.assert_allclose(totals[seed].loss, sums.loss, rtol=1e-5)


def assert_first_steps_agree(engine, seeds, judged):
    """In float32, the first loss to 1e-6 and its gradient to 1e-5 of the norm."""
    states, totals = many_seeds.together(engine, 1, "float32", seeds=seeds)
    for seed in judged:
        wanted = many_seeds.alone(ONE_STEP, seed, 1, "float32")
        many_seeds.assert_same_first_step((states[seed], totals[seed]), wanted, seed)


def shared_batches():
    assert_long_runs_agree(shared(LONG), 1, [0])
    assert_first_steps_agree(shared(ONE_STEP), 1, [0])


def shared_batches_of_seeds_side_by_side():
    assert_long_runs_agree(shared(LONG, "vmap"), 2, [0, 1])
    assert_first_steps_agree(shared(ONE_STEP, "vmap"), 2, [0, 1])


def shared_pieces_of_batches():
    task = Task(tiny.SoftmaxRegression(), optax.sgd(0.1), Method(accumulate=2))
    (state,), _ = many_seeds.together(shared(task), 4, "float32", seeds=1)
    wanted, _ = many_seeds.alone(task, 0, 4, "float32")
    many_seeds.assert_same_state(state, wanted, 1e-5)


def spread_seeds():
    assert seed_mesh(6).size == 6
    assert seed_mesh(16).size == 8
    # Two seeds on each of eight devices.
    assert_long_runs_agree(Engine("devices", LONG, many_steps=False), 16, [0, 1, 15])
    assert_first_steps_agree(Engine("devices", ONE_STEP, many_steps=True), 8, [0, 7])


def shared_validation():
    """500 images at once, which eight devices do not share evenly."""
    model, data = tiny.Net(normalised=True), tiny.data()
    variables = tiny.train(model, epochs=1).variables
    images = np.resize(tiny.split().images, (501, *tiny.split().images.shape[1:]))
    wanted = predictor(model, variables, data.scaling)(images)
    on_all = jax.device_put(data.scaling, NamedSharding(data_mesh(BATCH_SIZE), P()))
    predict, shares = evaluation._predict, []

    def watched(model, variables, scaling, batch):
        shares.append([shard.data.shape[0] for shard in batch.addressable_shards])
        return predict(model, variables, scaling, batch)

    evaluation._predict = watched
    try:
        found = predictor(model, variables, on_all)(images)
    finally:
        evaluation._predict = predict
    assert shares == [[63] * 8] * 2, shares
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def refused_batches():
    try:
        data_mesh(12)
    except ValueError as error:
        assert str(error) == "batch_size 12 cannot be shared by 8 devices evenly"
    else:
        raise AssertionError("12 images were shared by 8 devices")


if __name__ == "__main__":
    assert len(jax.devices()) == 8
    refused_batches()
    spread_seeds()
    shared_validation()
    shared_pieces_of_batches()
    shared_batches()
    shared_batches_of_seeds_side_by_side()
    print("all of it")
