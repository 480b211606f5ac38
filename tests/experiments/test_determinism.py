"""What of a step has no order of its own."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnnlab.data import Dataset, Split
from cnnlab.models import create_model
from cnnlab.training import Recipe, momentum_sgd
from cnnlab.training.engines import Task
from experiments.training.determinism import UNORDERED, note, unordered_operations
from experiments.training.run import Job


def job(model):
    split = Split(np.zeros((4, 16, 16, 1), np.uint8), np.zeros(4, np.int32))
    dataset = Dataset("zeros", split, split, ("none", "one"), "0" * 64)
    task = Task(model, momentum_sgd(2))
    return Job("arm", task, Recipe(steps=2, batch_size=2), dataset, (0,))


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


class Plain(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Dense(2)(x.reshape(len(x), -1))


def test_a_report_speaks_of_them_on_a_gpu_alone():
    gpu = {"platform": "gpu", "xla_flags": ""}
    assert note({"scatter-add": 2}, gpu | {"platform": "cpu"}) == note({}, gpu) == []
    (line,) = note({"scatter-add": 2, "convolution": 1}, gpu)
    assert "2 x a scatter that adds, 1 x a gradient of a convolution" in line


@pytest.mark.parametrize(
    "value, said",
    [("=true", "was told"), ("", "was told"), ("=false", "was not told")],
)
def test_a_report_claims_no_order_that_was_not_asked_for(value, said):
    flags = f"--xla_a=1 --xla_gpu_deterministic_ops{value}"
    (line,) = note({"convolution": 1}, {"platform": "gpu", "xla_flags": flags})
    assert line.startswith(f"XLA {said} to keep one order")
