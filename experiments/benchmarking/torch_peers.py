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

    from experiments.benchmarking import torch_networks

    device = use_device()
    model = torch_networks.build(network).to(device, memory_format=torch.channels_last)
    shape = torch_networks.IMAGES[network.partition("_")[0]]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    return _training(model, optimizer, (batch_size, *shape), 10, dtype, device)


def imagenet(batch_size: int, dtype: str, image_size: int, compile: bool) -> Contender:
    """Whole training steps of ResNet-50, by the recipe's optimizer.

    Args:
        compile: whether by `torch.compile`.
    """
    import torch

    from experiments.benchmarking import torch_networks

    device = use_device()
    # The fastest algorithm for each shape is found in the first step.
    torch.backends.cudnn.benchmark = True
    model = torch_networks.ResNet50()
    model = model.to(device, memory_format=torch.channels_last)
    kernels = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": kernels, "weight_decay": 1e-4}, {"params": others}],
        lr=0.1,
        momentum=0.9,
        fused=device == "cuda" or None,
    )
    if compile:
        model = torch.compile(model)
    shape = batch_size, 3, image_size, image_size
    return _training(model, optimizer, shape, 1000, dtype, device)


def _training(
    model: Any,
    optimizer: Any,
    shape: tuple[int, ...],
    classes: int,
    dtype: str,
    device: str,
) -> Contender:
    import torch
    import torch.nn.functional as F

    kind = getattr(torch, dtype)
    images = torch.randn(*shape, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(shape[0], device=device) % classes

    def run(steps):
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, kind, enabled=kind != torch.float32):
                scores = model(images)
            F.cross_entropy(scores.float(), labels).backward()
            optimizer.step()
        synchronize(device)

    return Contender(run)


def compiling() -> tuple[str, bool]:
    """What a row calls PyTorch's step, and whether `torch.compile` works here.

    On a CPU it needs a C++ compiler.
    """
    import torch

    one = torch.ones(1, device=use_device())
    try:
        torch.compile(lambda x: x + 1)(one)
    except RuntimeError as error:
        return f"torch, eager (torch.compile: {type(error).__name__})", False
    return "torch.compile", True


def use_device() -> str:
    """The device that JAX uses, with as many threads.

    Raises:
        UserError: PyTorch cannot use it.
    """
    import jax
    import torch

    from experiments.harness.environment import environment

    torch.set_num_threads(environment()["cpu_threads"])
    if jax.default_backend() != "gpu":
        return "cpu"
    if not torch.cuda.is_available():
        raise UserError(
            "peers", "torch finds no GPU, and JAX has one; leave torch out or mend it"
        )
    return "cuda"


def synchronize(device: str) -> None:
    """Waits for what a GPU still has to do."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
