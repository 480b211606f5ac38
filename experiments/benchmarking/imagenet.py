"""Whole training steps of ResNet-50 on ImageNet's shape, beside PyTorch's."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from cnnlab import training
from cnnlab.diagnostics.cost import count
from cnnlab.models import create_model
from cnnlab.training import devices
from experiments.benchmarking.timing import Contender, Row, looping, stepping

NETWORK, CLASSES = "resnet50", 1000

# Forward, and backward to the map and to the kernel, two operations each. The first
# layer needs no gradient of its map, which is one part in a hundred of all.
OPERATIONS_PER_MAC = 6

# Of dense products of bfloat16, without the sparsity that doubles what is advertised.
# Source: NVIDIA's data sheets, https://www.nvidia.com/en-us/data-center/h200/,
# .../h100/ and .../a100/. The names are those that drivers give.
PEAK_TFLOPS = {
    "NVIDIA H200": 989,
    "NVIDIA H100 80GB HBM3": 989,
    "NVIDIA H100 PCIe": 756,
    "NVIDIA A100-SXM4-80GB": 312,
    "NVIDIA A100-SXM4-40GB": 312,
    "NVIDIA A100 80GB PCIe": 312,
    "NVIDIA A100-PCIE-40GB": 312,
}


def rows(
    batch_size: int, peers: Sequence[str], dtype: str, image_size: int
) -> Iterator[Row]:
    """A step of our trainer, where loops are fast also in one, and PyTorch's."""
    made = functools.partial(_step_of, batch_size, dtype, image_size)
    contenders = {"ours": functools.partial(made, stepping)}
    if devices.loops_are_fast(devices.platform()):
        contenders["ours in a loop"] = functools.partial(made, looping)
    if "torch" in peers:
        from experiments.benchmarking import torch_peers

        name, compile = torch_peers.compiling()
        contenders[name] = functools.partial(
            torch_peers.imagenet, batch_size, dtype, image_size, compile
        )
    yield (
        f"a step of {NETWORK}, {batch_size} images of {image_size}x{image_size}x3, "
        f"{dtype}",
        contenders,
    )


def rates(
    milliseconds: Mapping[str, float],
    batch_size: int,
    dtype: str,
    image_size: int,
    peak_tflops: float,
) -> dict[str, dict[str, float]]:
    """What the times of a step come to, for each contender.

    Images and GFLOP a second, counted as `OPERATIONS_PER_MAC` for each of the net's
    multiply-accumulates; and the share of the device's peak, where that is known.

    Args:
        peak_tflops: the device's; 0 takes the published one, of bfloat16 alone.
    """
    if not peak_tflops and dtype == "bfloat16":
        peak_tflops = PEAK_TFLOPS.get(jax.devices()[0].device_kind, 0)
    images = {name: 1e3 * batch_size / ms for name, ms in milliseconds.items()}
    operations = OPERATIONS_PER_MAC * macs(image_size)
    gflops = {name: 1e-9 * operations * rate for name, rate in images.items()}
    found = {"images_per_second": images, "gflops": gflops}
    if peak_tflops:
        peak = 1e3 * peak_tflops
        found["share_of_peak"] = {name: rate / peak for name, rate in gflops.items()}
    return found


def macs(image_size: int) -> int:
    """The multiply-accumulates of our net on an image."""
    model, images = create_model(NETWORK, CLASSES), _images(1, image_size)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    return count(functools.partial(model.apply, train=False), variables, images).macs


def _images(batch_size: int, image_size: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((batch_size, image_size, image_size, 3), jnp.float32)


def _step_of(batch_size: int, dtype: str, image_size: int, how: Any) -> Contender:
    model = create_model(NETWORK, CLASSES, dtype=dtype)
    recipe = training.recipes["imagenet_resnet"]()
    optimizer = training.optimizer_of(recipe, total_steps=1000)
    shape = _images(batch_size, image_size).shape
    images = jax.random.normal(jax.random.key(0), shape)
    labels = jnp.arange(batch_size) % CLASSES
    state = training.init(model, optimizer, 0, shape[1:])

    def step(state, images, labels):
        return training.train_step(model, optimizer, state, images, labels)[0]

    return how(step, state, images, labels)
