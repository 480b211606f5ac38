"""What of a step has no order of its own."""

import dataclasses
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnnlab.data import Dataset, Split
from cnnlab.models import create_model
from cnnlab.training import Recipe, optimizer_of
from cnnlab.training.engines import Task
from experiments.harness import numerics
from experiments.training.determinism import UNORDERED, note, unordered_operations
from experiments.training.job import Job


def job(model):
    split = Split(np.zeros((4, 16, 16, 1), np.uint8), np.zeros(4, np.int32))
    dataset = Dataset("zeros", split, split, ("none", "one"), "0" * 64)
    recipe = Recipe(steps=2, batch_size=2)
    task = Task(model, optimizer_of(recipe, recipe.steps))
    return Job("arm", task, recipe, dataset, (0,))


class Stock(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.max_pool(nn.Conv(2, (3, 3))(x), (2, 2), (2, 2))
        return nn.Dense(2)(x.reshape(len(x), -1))


class Lookup(nn.Module):
    """Its gradient adds up the images that took the same row."""

    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Embed(4, 2)((x[:, 0, 0, 0] > 0).astype(jnp.int32))


@pytest.mark.parametrize(
    "model, wanted",
    [
        (Stock(), {"conv_general_dilated": 2, "select_and_scatter_add": 1}),
        (Lookup(), {"scatter-add": 1}),
        # One gradient of the image's convolution, two of the next.
        (create_model("lenet5", 2, boundary="circular"), {"convolution": 3}),
    ],
)
def test_operations_without_an_order_are_counted(model, wanted):
    found = unordered_operations(job(model))
    # The loss picks the label's score, and its gradient scatters it back.
    loss = unordered_operations(job(Plain()))
    assert set(found) <= set(UNORDERED)
    assert {k: v - loss.get(k, 0) for k, v in found.items() if v != loss.get(k)} == (
        wanted
    )


def test_only_the_shapes_of_the_images_are_looked_at():
    small = job(Stock())
    images = jax.ShapeDtypeStruct((10**9, 16, 16, 1), np.uint8)
    labels = jax.ShapeDtypeStruct((10**9,), np.int32)
    shapes = SimpleNamespace(train=Split(images, labels), image_shape=(16, 16, 1))
    vast = dataclasses.replace(small, dataset=shapes)
    assert unordered_operations(vast) == unordered_operations(small)


class Plain(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Dense(2)(x.reshape(len(x), -1))


def gpu(kept, flags=""):
    return {"platform": "gpu", "xla_flags": flags, numerics.ONE_ORDER: kept}


def test_a_report_speaks_of_them_on_a_gpu_alone():
    cpu = gpu(False) | {"platform": "cpu"}
    assert note({"scatter-add": 2}, cpu) == note({}, gpu(False)) == []
    assert numerics.advice(cpu) == []
    *_, line = note({"scatter-add": 2, "convolution": 1}, gpu(False))
    assert "2 x a scatter that adds, 1 x a gradient of a convolution" in line


@pytest.mark.parametrize(
    "kept, said",
    [(True, "XLA was told"), (False, "XLA was not told"), (None, "Whether XLA was")],
)
def test_a_report_claims_no_order_that_is_not_in_force(kept, said):
    # Whatever the flags say, which may have come too late.
    *_, line = note(
        {"convolution": 1}, gpu(kept, "--xla_gpu_deterministic_ops=true --xla_a=1")
    )
    assert line.startswith(said)


@pytest.mark.parametrize(
    "kept, flags, told",
    [
        (True, "--xla_gpu_deterministic_ops=true", False),
        (None, "", False),
        (False, "", True),
        (False, "--xla_a=1 --xla_gpu_deterministic_ops", True),
        (False, "--xla_gpu_deterministic_ops=false", False),
    ],
)
def test_what_to_set_is_told_where_it_came_too_late(kept, flags, told):
    lines = numerics.advice(gpu(kept, flags))
    assert len(lines) == told
    for line in lines:
        assert "set XLA_FLAGS=--xla_gpu_deterministic_ops=true before" in line
        assert "\n" not in line


_ASK = """
import os, sys
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
import jax
from experiments.harness import numerics
from experiments.harness.environment import environment
early = os.fork() == 0
if not early:
    os.wait()
    jax.devices()
numerics.ask_for_one_order()
print(early, environment()[numerics.ONE_ORDER], os.environ["XLA_FLAGS"], flush=True)
"""


def test_the_order_is_in_force_where_it_was_asked_for_before_jax_ran():
    asked = [sys.executable, "-c", _ASK]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    devices = "--xla_force_host_platform_device_count=2"
    assert told.splitlines() == [
        f"True True {devices} --xla_gpu_deterministic_ops=true",
        f"False False {devices}",
    ]


def test_flags_of_which_xla_tells_nothing_are_not_known(monkeypatch):
    monkeypatch.setattr(jax.extend.backend, "get_compile_options", None)
    assert numerics.keeps_one_order() is None
