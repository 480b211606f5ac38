"""Weights from safetensors files: PyTorch's networks, and those that we wrote."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from cnnlab.errors import UserError
from cnnlab.models import torch_names
from cnnlab.models.description import Description
from cnnlab.models.network import Network
from cnnlab.models.tensor_file import FLOATS, TensorFile
from cnnlab.models.torch_names import Source, TorchNames

_OURS = "params/"
# Counted in training, and used by nothing.
_COUNTER = ".num_batches_tracked"


def load_pretrained(
    model: Network,
    weights: str | os.PathLike,
    *,
    image_shape: Sequence[int] | None = None,
) -> dict[str, Any]:
    """The variables of `model` that a safetensors file holds, as float32.

    The file has torchvision's or timm's names and layout, as PyTorch saves its
    `state_dict()`, or is one that `encode_weights` wrote. It is checked against the
    model's shapes before any weight is read, and nothing in it is ever executed. Of
    timm's networks these are those that torchvision has too, but for AlexNet and
    GoogLeNet, which timm lacks, and `resnetv2_18` to `resnetv2_152`, our "v2".

    Torchvision's networks were trained on images of 0 to 1, less (0.485, 0.456, 0.406)
    and divided by (0.229, 0.224, 0.225); its GoogLeNet, and timm's `resnetv2`, on
    (image - 0.5) / 0.5.

    Args:
        image_shape: height, width and channels of the images to come; None is what the
            file says, or else `model.image_shape`.

    Raises:
        UserError: a file that cannot be read or is no safetensors file, the first
            tensor that is missing, not the model's or of another shape, or a model
            that PyTorch does not have or that cannot take such images.
    """
    with TensorFile(weights) as file:
        described = None
        if image_shape is None:
            described = Description.from_metadata(file.metadata)
            image_shape = (described or model).image_shape
        # Whose word it is that there are such images.
        argument = "model" if described is None else "weights"
        if any(name.startswith(_OURS) for name in file.headers):
            variables = _shapes(model, image_shape, argument)
            found = {
                path: Source((path,), (variable.shape,), variable.shape)
                for path, variable in variables.items()
            }
            ignored = ()
        else:
            names = _torch_names(model)
            variables = _shapes(model, image_shape, argument)
            found = dict(torch_names.sources(names, variables, file.headers))
            ignored = getattr(model, "torch_ignored", ())
        _check(file, found.values(), ignored, model.num_classes)
        loaded = {path: _read(file, source) for path, source in found.items()}
    return traverse_util.unflatten_dict(loaded, sep="/")


def encode_weights(
    variables: Mapping[str, Any], description: Description | None = None
) -> bytes:
    """A safetensors file of the variables under flat names: "params/Conv_0/kernel".

    Args:
        description: what the file is to say of the network, for whoever finds it.
    """
    from safetensors.numpy import save

    flat = traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    arrays = {path: np.ascontiguousarray(leaf) for path, leaf in flat.items()}
    return save(arrays, description.to_metadata() if description else None)


def describe_weights(weights: str | os.PathLike) -> Description | None:
    """What a file says of its network; None for a file that others wrote.

    Raises:
        UserError: as `load_pretrained`.
    """
    with TensorFile(weights) as file:
        return Description.from_metadata(file.metadata)


def _shapes(
    model: Network, image_shape: Sequence[int], argument: str
) -> dict[str, Any]:
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    try:
        shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    except (ValueError, TypeError, ArithmeticError) as error:
        size = "x".join(map(str, image_shape))
        text = str(error).splitlines()[0]
        raise UserError(
            argument, f"{type(model).__name__} cannot take {size} images: {text}"
        ) from error
    return traverse_util.flatten_dict(shapes, sep="/")


def _torch_names(model: Network) -> TorchNames:
    names = model.torch_names() if hasattr(model, "torch_names") else None
    if names is None:
        raise UserError(
            "weights",
            f"this {type(model).__name__} is not one of torchvision's or timm's "
            "networks; it takes files that were exported from it alone",
        )
    return names


def _check(
    file: TensorFile,
    sources: Iterable[Source],
    ignored: tuple[str, ...],
    num_classes: int,
) -> None:
    """Raises UserError for the first tensor that does not fit the model."""
    unused = dict(file.headers)
    for source in sources:
        for name in source.tensors:
            if name not in file.headers:
                wanted = list(source.shapes[0])
                raise UserError(
                    "weights",
                    f"'{file.path}' has no '{name}', of which the model needs {wanted}",
                )
            dtype, shape = unused.pop(name)
            if shape not in source.shapes:
                raise UserError(
                    "weights",
                    f"'{file.path}' has '{name}' of shape {list(shape)}, and the model "
                    f"needs {_wanted(shape, source, num_classes)}",
                )
            if dtype not in FLOATS:
                raise UserError(
                    "weights",
                    f"'{file.path}' has '{name}' as {dtype}; choose from "
                    f"{', '.join(FLOATS)}",
                )
    for name, header in unused.items():
        if not name.endswith(_COUNTER) and not name.startswith(ignored):
            raise UserError(
                "weights",
                f"'{file.path}' has '{name}' of shape {list(header.shape)}, and the "
                "model has no such tensor",
            )


def _wanted(shape: tuple[int, ...], source: Source, num_classes: int) -> str:
    alike = [wanted for wanted in source.shapes if len(wanted) == len(shape)]
    wanted = (alike or source.shapes)[0]
    if wanted[0] == num_classes and wanted[1:] == shape[1:]:
        return f"{list(wanted)}; does num_classes={shape[0]} fit?"
    return f"{list(wanted)}"


def _read(file: TensorFile, source: Source) -> jax.Array:
    tensors = [file.read(name).astype(np.float32) for name in source.tensors]
    return jnp.asarray(source.assemble(tensors))
