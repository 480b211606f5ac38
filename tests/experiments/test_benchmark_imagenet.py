"""What is timed of ResNet-50, and what its times come to."""

import types

import jax
import jax.numpy as jnp
import pytest

from cnnlab.models import create_model
from cnnlab.training import devices
from experiments import benchmark
from experiments.benchmarking import chart, imagenet
from experiments.benchmarking.timing import Contender


@pytest.mark.peer
def test_torchs_resnet50_has_the_parameters_and_the_multiply_accumulates_of_ours():
    torch = pytest.importorskip("torch", reason="the extra `bench` is not installed")
    from torch.utils.flop_counter import FlopCounterMode

    from experiments.benchmarking import torch_networks

    with torch.device("meta"):
        theirs, images = torch_networks.ResNet50(), torch.zeros(1, 3, 64, 64)
    model = create_model(imagenet.NETWORK, imagenet.CLASSES)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    ours = sorted(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    assert sorted(weight.numel() for weight in theirs.parameters()) == ours
    with FlopCounterMode(display=False) as counter:
        theirs(images)
    # A multiplication and an addition each.
    assert counter.get_total_flops() == 2 * imagenet.macs(64)


SMALL = benchmark.Config(
    suite="imagenet", peers=(), rounds=1, batch_size=2, image_size=32
)


@pytest.mark.slow
def test_our_steps_of_resnet50_are_timed():
    (row,) = benchmark.run(SMALL)
    assert row["name"] == "a step of resnet50, 2 images of 32x32x3, bfloat16"
    seconds = row["milliseconds"]["ours"] / 1e3
    assert row["images_per_second"]["ours"] == pytest.approx(2 / seconds)
    assert row["compile_seconds"]["ours"] > 0
    if not devices.loops_are_fast(devices.platform()):
        assert set(row["milliseconds"]) == {"ours"}


@pytest.mark.slow
def test_our_steps_of_resnet50_give_what_they_take():
    taken = {}

    def how(step, state, *batch):
        taken.update(before=state, after=jax.eval_shape(step, state, *batch))
        return Contender(lambda steps: None)

    imagenet._step_of(2, "bfloat16", 32, how)
    before, after = taken["before"], taken["after"]
    # What a step gives, the next one takes.
    assert jax.tree.map(of_kind, before) == jax.tree.map(of_kind, after)
    kinds = {leaf.dtype for leaf in jax.tree.leaves((after.params, after.batch_stats))}
    assert kinds == {jnp.dtype("float32")}
    assert before.params["Dense_0"]["kernel"].shape == (2048, 1000)


def of_kind(leaf):
    return leaf.shape, leaf.dtype


@pytest.mark.peer
def test_torchs_steps_of_resnet50_move_all_that_can_move(monkeypatch):
    torch = pytest.importorskip("torch", reason="the extra `bench` is not installed")
    from experiments.benchmarking import torch_networks, torch_peers

    made, build = [], torch_networks.ResNet50

    def kept():
        made.append(build())
        return made[-1]

    monkeypatch.setattr(torch_networks, "ResNet50", kept)
    contender = torch_peers.imagenet(2, "float32", 32, compile=False)
    (model,) = made
    before = {name: value.clone() for name, value in model.state_dict().items()}
    contender.run(2)
    after = model.state_dict()
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert still == set()
    assert all(value.isfinite().all() for value in after.values())


def test_rates_of_resnet50_follow_from_its_published_cost(monkeypatch):
    """He et al., 2015: 3.8e9 multiply-accumulates; with strides later, 4.09e9."""
    monkeypatch.setattr(imagenet, "macs", {224: 4_089_184_256}.__getitem__)
    # 256 images in 80 ms: 3,200 a second, each 6 times so many operations.
    found = imagenet.rates({"ours": 80.0}, 256, "bfloat16", 224, 100.0)
    assert found["images_per_second"] == pytest.approx({"ours": 3200})
    assert found["gflops"] == pytest.approx({"ours": 78_512.3}, rel=1e-6)
    assert found["share_of_peak"] == pytest.approx({"ours": 0.785123}, rel=1e-6)


@pytest.mark.parametrize(
    "kind, dtype, share",
    [
        ("NVIDIA H200", "bfloat16", True),
        ("NVIDIA H200", "float32", False),
        ("a card of its own", "bfloat16", False),
    ],
)
def test_a_share_of_the_peak_is_told_where_that_is_known(
    kind, dtype, share, monkeypatch
):
    device = types.SimpleNamespace(device_kind=kind)
    monkeypatch.setattr(imagenet.jax, "devices", lambda: [device])
    monkeypatch.setattr(imagenet, "macs", lambda size: 10**12 // 6)
    found = imagenet.rates({"ours": 1000.0}, 989, dtype, 224, 0.0)
    assert found["gflops"] == pytest.approx({"ours": 989_000})
    assert found.get("share_of_peak") == (
        pytest.approx({"ours": 1.0}) if share else None
    )


@pytest.mark.peer
@pytest.mark.parametrize("fails", [False, True])
def test_a_torch_that_cannot_compile_is_timed_as_it_is_and_says_so(fails, monkeypatch):
    pytest.importorskip("torch", reason="PyTorch (the extra `bench`) is not installed")
    import torch

    from experiments.benchmarking import torch_peers

    def compiled(function):
        if fails:
            raise RuntimeError("no C++ compiler")
        return function

    monkeypatch.setattr(torch, "compile", compiled)
    name, works = torch_peers.compiling()
    assert works != fails
    assert name == (
        "torch, eager (torch.compile: RuntimeError)" if fails else "torch.compile"
    )


def test_a_row_tells_rates_where_it_has_them():
    row = {
        "name": "a step",
        "milliseconds": {"ours": 2.0},
        "compile_seconds": {},
        "temporary_mebibytes": {},
        "images_per_second": {"ours": 3200.0},
        "gflops": {"ours": 78_512.3},
        "share_of_peak": {"ours": 0.0794},
    }
    assert benchmark._line(row) == "a step: ours 2.00 ms"
    (told,) = benchmark._rates(row)
    assert told == "ours: 3,200.0 images/s, 78,512.3 GFLOP/s, 7.9% of the device's peak"
    assert list(benchmark._rates({"name": "another"})) == []
    # With nobody beside ours there is still a chart.
    assert chart.ratios([row]).axes
