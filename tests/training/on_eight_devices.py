"""What eight devices have to give; a program of its own, as JAX counts them once."""

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


def shared(task):
    """The engine whose batches all devices share."""
    mesh = data_mesh(BATCH_SIZE)
    assert mesh.size == 8
    return Engine(
        "loop",
        Task(task.model, task.optimizer, task.method, task.augment, mesh),
        many_steps=False,
    )


def shared_batches_in_float64():
    with jax.enable_x64(True):
        (state,), _ = many_seeds.together(shared(LONG), STEPS, "float64", seeds=1)
        wanted, _ = many_seeds.alone(LONG, 0, STEPS, "float64")
        many_seeds.assert_same_state(state, wanted)


def shared_batches_in_float32():
    states, totals = many_seeds.together(shared(ONE_STEP), 1, "float32", seeds=1)
    wanted = many_seeds.alone(ONE_STEP, 0, 1, "float32")
    many_seeds.assert_same_first_step((states[0], totals[0]), wanted, 0)


def shared_pieces_of_batches():
    task = Task(tiny.SoftmaxRegression(), optax.sgd(0.1), Method(accumulate=2))
    (state,), _ = many_seeds.together(shared(task), 4, "float32", seeds=1)
    wanted, _ = many_seeds.alone(task, 0, 4, "float32")
    many_seeds.assert_same_state(state, wanted, 1e-5)


def spread_seeds():
    assert seed_mesh(6).size == 6
    assert seed_mesh(16).size == 8
    # Two seeds on each of eight devices.
    task = Task(tiny.SoftmaxRegression(), optax.sgd(0.1), Method(ema_decay=0.9))
    states, totals = many_seeds.together(
        Engine("devices", task, many_steps=True), 4, "float32", seeds=16
    )
    for seed in (0, 1, 15):
        wanted, sums = many_seeds.alone(task, seed, 4, "float32")
        many_seeds.assert_same_state(states[seed], wanted, 1e-5)
        np.testing.assert_allclose(totals[seed].loss, sums.loss, rtol=1e-5)


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
    shared_batches_in_float32()
    shared_batches_in_float64()
    print("all of it")
