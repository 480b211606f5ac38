"""Where PyTorch's files have what our layers hold, and in which layout.

A family that torchvision or timm has too says so by a method `torch_names()`: for each
of our layers' paths the name of their module, in the order of the network.

    {"Conv_0": "features.0", "BatchNorm_0": "features.1", ...}

A list of names stands for layers that are stacked in ours, as `scan=True` does. A
method that returns None says that neither has such a member.
"""

import dataclasses
import math
from collections.abc import Container, Iterator, Mapping, Sequence

import jax
import numpy as np

from cnnlab.errors import UserError

# Our names of parameters and statistics, in the order in which faults are told.
_LEAVES = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}


@dataclasses.dataclass(frozen=True)
class TorchModule:
    """A module that needs more than its name.

    Attributes:
        names: under which files have it: torchvision's, then others'.
        channels: of the map that is flattened before a dense layer. PyTorch flattens
            channels first, and we do last.
    """

    names: tuple[str, ...]
    channels: int | None = None


TorchNames = Mapping[str, str | Sequence[str] | TorchModule]


def part_of(module: str | Sequence[str], part: str) -> str | list[str]:
    """The name of a module's part, or those of the parts of stacked modules."""
    if isinstance(module, str):
        return f"{module}.{part}"
    return [f"{one}.{part}" for one in module]


@dataclasses.dataclass(frozen=True)
class Source:
    """Where one of our variables is in a file.

    Attributes:
        tensors: the tensors' names: one, or those that are stacked.
        shapes: those that each may have there, the usual one first.
        shape: of ours; without the axis along which tensors are stacked.
        kernel: `(out, in, height, width)` where the file has them in this order.
    """

    tensors: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    stacked: bool = False
    kernel: tuple[int, ...] | None = None

    def assemble(self, tensors: Sequence[np.ndarray]) -> np.ndarray:
        """Our variable, from what the file has."""
        converted = [self._converted(tensor) for tensor in tensors]
        return np.stack(converted) if self.stacked else converted[0]

    def _converted(self, tensor: np.ndarray) -> np.ndarray:
        if self.kernel is None:
            return tensor
        return tensor.reshape(self.kernel).transpose(2, 3, 1, 0).reshape(self.shape)


def sources(
    names: TorchNames,
    variables: Mapping[str, jax.ShapeDtypeStruct],
    in_file: Container[str],
) -> Iterator[tuple[str, Source]]:
    """The path of each variable and where it is, in the order of `names`.

    Args:
        variables: by path, such as "params/Conv_0/kernel".
        in_file: the names of the file's tensors.

    Raises:
        UserError: a variable that PyTorch's network does not have.
    """
    remaining = dict(variables)
    for path, given in names.items():
        for (collection, leaf), torch_leaf in _LEAVES.items():
            variable = remaining.pop(f"{collection}/{path}/{leaf}", None)
            if variable is not None:
                source = _source(given, torch_leaf, variable.shape, in_file)
                yield f"{collection}/{path}/{leaf}", source
    for path in remaining:
        raise UserError(
            "model", f"its '{path}' is not in PyTorch's network, nor in its files"
        )


def _source(given, leaf: str, shape: tuple[int, ...], in_file) -> Source:
    if isinstance(given, str):
        given = TorchModule((given,))
    stacked = not isinstance(given, TorchModule)
    if stacked:
        modules, channels, shape = given, None, shape[1:]
    else:
        found = [name for name in given.names if f"{name}.{leaf}" in in_file]
        modules, channels = (found or given.names)[:1], given.channels
    tensors = tuple(f"{module}.{leaf}" for module in modules)
    if len(shape) < 2:
        return Source(tensors, (shape,), shape, stacked)
    kernel = _kernel(shape, channels)
    # Others have dense layers as convolutions.
    flat = (kernel[0], math.prod(kernel[1:]))
    shapes = (kernel, flat) if len(shape) == 4 else (flat, kernel)
    return Source(tensors, shapes, shape, stacked, kernel)


def _kernel(shape: tuple[int, ...], channels: int | None) -> tuple[int, ...]:
    """The `(out, in, height, width)` of a kernel of ours; a dense one's may be 1x1."""
    if len(shape) == 4:
        height, width, inputs, outputs = shape
        return outputs, inputs, height, width
    flat, outputs = shape
    channels = channels or flat
    side = math.isqrt(flat // channels)
    if channels * side**2 != flat:
        raise UserError(
            "model",
            f"its dense layer takes {flat:,} numbers, which are no square map of "
            f"{channels} channels, so PyTorch's order of them is not known",
        )
    return outputs, channels, side, side
