"""The benchmark: what it times is the same work, and what it writes can be read."""

import dataclasses
import json
import math
import shlex
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_training

from cnnlab.errors import UserError
from cnnlab.training import Recipe, optimizer_of
from cnnlab.training.engines import Task
from cnnlab.training.snapshots import Snapshots
from experiments import benchmark
from experiments.benchmark import Config
from experiments.benchmarking import networks, runs
from experiments.benchmarking.timing import Contender, interleaved, looping, stepping
from experiments.harness import compile_cache
from experiments.training.job import Job

SMALL = Config(batch_size=2, rounds=1, only="max_pool 2x2/2, 28x28x32")


def test_writes_times_ratios_and_a_chart(tmp_path, capsys):
    benchmark.main(dataclasses.replace(SMALL, workdir=str(tmp_path)))
    results = json.loads((tmp_path / "results.json").read_text())
    (row,) = results["rows"]
    assert row["name"] == SMALL.only
    assert list(row["milliseconds"]) == ["ours", "ours in a loop", "flax"]
    assert min(row["milliseconds"].values()) > 0
    ratio = row["milliseconds"]["ours"] / row["milliseconds"]["flax"]
    assert math.isclose(results["mean_ratios"]["flax"], ratio)
    assert f"--only={SMALL.only}" in shlex.split(results["command"])
    assert (tmp_path / "ratios.png").read_bytes().startswith(b"\x89PNG")
    assert f"ours {row['milliseconds']['ours']:.2f} ms" in capsys.readouterr().out


@pytest.mark.parametrize("suite, rows", [("ops", 13), ("steps", 3), ("imagenet", 1)])
def test_a_suite_has_its_rows(suite, rows):
    config = dataclasses.replace(SMALL, suite=suite)
    found = list(benchmark._rows(config))
    assert len(found) == rows == len({name for name, _ in found})
    assert all("ours" in contenders for _, contenders in found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "suite, batch_size, contenders",
    [
        ("epoch", 4, {"ours", "bare steps"}),
        ("checkpoint", 4, {"ours", "without"}),
        ("seeds", 8, {"ours", "loop", "map", "vmap"}),
    ],
)
def test_a_suite_of_training_times_its_contenders(
    suite, batch_size, contenders, programs
):
    config = Config(suite=suite, rounds=1, batch_size=batch_size, only="LeNet-5")
    # Every turn is a run of its own.
    with compile_cache.kept_in(programs):
        (row,) = benchmark.run(config)
    assert contenders <= set(row["milliseconds"])
    assert min(row["milliseconds"].values()) > 0


@pytest.mark.parametrize("name", networks.IMAGES)
def test_stock_networks_have_the_parameters_and_costs_of_ours(name):
    images = jnp.zeros((2, *networks.IMAGES[name]))

    def sizes(model):
        shapes = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
        return sorted(leaf.size for leaf in jax.tree.leaves(shapes))

    assert sizes(networks.ours(name)) == sizes(networks.stock(name))


@pytest.mark.peer
@pytest.mark.parametrize("name", networks.IMAGES)
def test_torch_networks_have_the_parameters_of_ours(name):
    pytest.importorskip("torch", reason="PyTorch (the extra `bench`) is not installed")
    from experiments.benchmarking import torch_networks

    images = jnp.zeros((2, *networks.IMAGES[name]))
    shapes = jax.eval_shape(networks.ours(name).init, jax.random.key(0), images)
    ours = sorted(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    theirs = torch_networks.build(name).parameters()
    assert sorted(parameter.numel() for parameter in theirs) == ours


@pytest.mark.parametrize("make", [stepping, looping])
def test_steps_in_calls_and_in_a_loop_do_the_same_work(make):
    seen = []

    def step(state, constant):
        jax.debug.callback(lambda value: seen.append(np.array(value)), state)
        return state * 0.5 + constant

    make(step, jnp.ones(3), jnp.float32(1)).run(5)
    jax.effects_barrier()
    assert len(seen) == 5
    # The last step began with what four steps had made of 1.
    np.testing.assert_allclose(min(seen[-1]), 2 - 0.5**4)


def test_turns_alternate_and_take_the_median():
    order = []
    contenders = {
        name: Contender(lambda steps, name=name: order.append((name, steps)))
        for name in ("ours", "other")
    }
    times = interleaved(contenders, rounds=3)
    assert set(times) == {"ours", "other"}
    assert [name for name, _ in order[-6:]] == ["ours", "other"] * 3
    assert all(steps > 1 for _, steps in order[-6:])


def test_a_contender_may_tell_its_own_time():
    contenders = {"ours": Contender(lambda steps: 0.25 * steps)}
    assert interleaved(contenders, rounds=1) == {"ours": 250}


@pytest.mark.parametrize("checkpoints", [True, False])
def test_an_epoch_is_timed_in_a_run_that_stores_as_often_as_asked(
    checkpoints, monkeypatch
):
    stored, save = [], Snapshots.save

    def recorded(self, step, *terms, **more):
        stored.append(step)
        save(self, step, *terms, **more)

    monkeypatch.setattr(Snapshots, "save", recorded)
    dataset = small_training.glyphs()
    recipe = Recipe(epochs=1 + runs.EPOCHS, batch_size=40, learning_rate=1e-3)
    task = Task(small_training.Tiny(), optimizer_of(recipe, 2 * recipe.epochs))
    job = Job("tiny", task, recipe, dataset, (0,))
    began = time.perf_counter()
    seconds = runs.contender(job, checkpoints=checkpoints).run(1)
    assert 0 < runs.EPOCHS * seconds < time.perf_counter() - began
    ends = [2 * epoch for epoch in range(1, recipe.epochs + 1)]
    assert stored == (ends if checkpoints else ends[-1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"suite": "op"}, "suite: 'op' is not one of ops, pools, steps, epoch"),
        ({"peers": ("keras",)}, "peers: 'keras' is not one of flax, torch"),
        ({"rounds": 0}, "rounds: 0 is less than 1"),
        ({"batch_size": -1}, "batch_size: -1 is less than 1"),
        ({"image_size": 31}, "image_size: 31 is less than 32"),
        ({"peak_tflops": -1.0}, "peak_tflops: -1.0 is less than 0"),
        ({"dtype": "float8"}, "dtype: 'float8' is not one of float32, bfloat16"),
        ({"only": "no such row"}, "only: no row of ops holds 'no such row'"),
    ],
)
def test_bad_input_is_refused(tmp_path, change, message):
    config = dataclasses.replace(SMALL, workdir=str(tmp_path / "run"), **change)
    with pytest.raises(UserError, match=f"^{message}"):
        benchmark.main(config)
    assert not (tmp_path / "run").exists()


def test_a_missing_peer_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="^peers: torch is not installed; pip install"):
        list(benchmark.run(dataclasses.replace(SMALL, peers=("torch",))))
