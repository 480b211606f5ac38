"""The same work in PyTorch: channels last, as many threads as JAX has."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnlab.errors import UserError
from experiments.benchmarking.timing import Contender


def check_installed() -> None:
    """Raises UserError where PyTorch is missing."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise UserError(
            "peers",
            "torch is not installed; pip install 'cnnlab[bench]', or leave it out",
        ) from None


def pool(name: str, window: int, strides: int) -> Callable:
    """`max_pool` or `avg_pool`."""
    import torch.nn.functional as F

    function = {"max_pool": F.max_pool2d, "avg_pool": F.avg_pool2d}[name]
    return lambda x: function(x, window, strides)


def conv(window: int, strides: int, size: int) -> Callable:
    """A convolution with SAME padding, the odd entry at the end."""
    import torch.nn.functional as F

    total = max((math.ceil(size / strides) - 1) * strides + window - size, 0)
    low, high = total // 2, total - total // 2
    if low == high:
        return lambda x, kernel: F.conv2d(x, kernel, stride=strides, padding=low)
    pairs = (low, high, low, high)
    return lambda x, kernel: F.conv2d(F.pad(x, pairs), kernel, stride=strides)


def stepping(
    call: Callable, inputs: Sequence[Any], weights: Any, dtype: str
) -> Contender:
    """Steps that move the inputs down the gradient, in place."""
    import torch

    device = use_device()
    kind = getattr(torch, dtype)

    def channels_last(array, is_kernel):
        array = np.array(array, np.float32)
        array = np.transpose(array, (3, 2, 0, 1) if is_kernel else (0, 3, 1, 2))
        tensor = torch.from_numpy(array.copy()).to(device, kind)
        return tensor.contiguous(memory_format=torch.channels_last)

    held = [
        channels_last(value, is_kernel=place > 0).requires_grad_()
        for place, value in enumerate(inputs)
    ]
    against = channels_last(weights, is_kernel=False)

    def run(steps):
        for _ in range(steps):
            gradients = torch.autograd.grad(call(*held), held, against)
            with torch.no_grad():
                for value, gradient in zip(held, gradients, strict=True):
                    value.sub_(gradient, alpha=1e-6)
        synchronize(device)

    return Contender(run)


def training(network: str, batch_size: int, dtype: str) -> Contender:
    """Whole training steps of `mnist_cnn_max`, `mnist_cnn_avg` or `resnet20`."""
    import torch
    import torch.nn.functional as F

    from experiments.benchmarking import torch_networks

    device, kind = use_device(), getattr(torch, dtype)
    model = torch_networks.build(network).to(device, memory_format=torch.channels_last)
    shape = torch_networks.IMAGES[network.partition("_")[0]]
    images = torch.randn(batch_size, *shape, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch_size, device=device) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def run(steps):
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, kind, enabled=kind != torch.float32):
                scores = model(images)
            F.cross_entropy(scores.float(), labels).backward()
            optimizer.step()
        synchronize(device)

    return Contender(run)


def use_device() -> str:
    """The device that JAX uses, with as many threads."""
    import jax
    import torch

    from experiments.harness.environment import environment

    torch.set_num_threads(environment()["cpu_threads"])
    return "cuda" if jax.default_backend() == "gpu" else "cpu"


def synchronize(device: str) -> None:
    """Waits for what a GPU still has to do."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
