"""Where a network thins its maps."""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core import DenyList

from cnnlab.diagnostics.operation import Operation
from cnnlab.diagnostics.program import trace
from cnnlab.models.network import Network
from cnnlab.ops.arguments import check_count

# The parameters that hold the strides of JAX's primitives.
_WINDOW_STRIDES = "window_strides"
# Operators that lay out their windows by the size of their result, not by strides.
_BY_SIZE = ("adaptive_avg_pool", "adaptive_max_pool", "fractional_max_pool")


@dataclasses.dataclass(frozen=True)
class Site:
    """A place where one entry is kept for several.

    Attributes:
        path: the modules it is in, the network first.
        operator: what has the strides: "conv", a pool, or a primitive of JAX, of which
            "slice" keeps entries as they are.
        strides: one per spatial axis; of an operator that has none, such as an adaptive
            pool, how many entries it keeps one for, which need not be whole.
        input_shape, output_shape: of the maps, `[batch, *spatial, channels]`.
    """

    path: tuple[str, ...]
    operator: str
    strides: tuple[int | float, ...]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    def __str__(self) -> str:
        sizes = (
            "x".join(map(str, shape[1:-1]))
            for shape in (self.input_shape, self.output_shape)
        )
        strides = "x".join(f"{stride:g}" for stride in self.strides)
        return (
            f"{'/'.join(self.path)}: {self.operator} /{strides}, {' to '.join(sizes)}"
        )


def sites(
    model: Network,
    image_shape: tuple[int, int, int] | None = None,
    *,
    train: bool = False,
) -> tuple[Site, ...]:
    """Every place where `model` thins its maps, in the order they run.

    They are read from the traced program, not from what the model says of itself, so
    none is left out: stems, pools, strided convolutions, projections and slices alike.
    A network with `downsample=` has that pool at all of them. What has a size to reach,
    and so no strides to give away, stays beside it: the adaptive averages of
    `googlenet_bn(auxiliary=True)` in training, and a fractional `pool=`. A global pool,
    which leaves no map, is not listed.

    Args:
        image_shape: `(height, width, channels)`; None is the paper's.
        train: whether the program is that of training, in which auxiliary heads run.

    Raises:
        TypeError: `model` is no network, or `image_shape` holds what is no integer.
        ValueError: images of another rank, or that the network cannot take.
    """
    images = jax.ShapeDtypeStruct((1, *_image_shape(model, image_shape)), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    program = trace(_training(model) if train else model.apply, variables, images)
    found = (_site(step.operation) for step in program.steps())
    return tuple(site for site in found if site is not None)


def _image_shape(model, image_shape) -> tuple[int, int, int]:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a network, got {type(model).__name__}")
    if image_shape is None:
        image_shape = getattr(model, "image_shape", None)
    if not isinstance(image_shape, tuple | list) or len(image_shape) != 3:
        raise ValueError(
            f"image_shape must be (height, width, channels), got {image_shape!r}"
        )
    for side in image_shape:
        check_count("image_shape", side)
    return tuple(image_shape)


def _training(model: Network) -> Callable:
    def apply(variables, images):
        rngs = {role: jax.random.key(0) for role in ("pool", "dropout")}
        # What a head sows is a result too.
        mutable = DenyList("params")
        return model.apply(variables, images, train=True, rngs=rngs, mutable=mutable)

    return apply


def _site(operation: Operation) -> Site | None:
    strides = _strides(operation)
    if strides is None or set(strides) <= {1}:
        return None
    before, after = operation.inputs[0].shape, operation.outputs[0].shape
    # The strides of a transposed convolution part the entries of its map.
    if any(now > then for now, then in zip(after[1:-1], before[1:-1], strict=True)):
        return None
    return Site(
        path=operation.path,
        operator=operation.name,
        strides=strides,
        input_shape=before,
        output_shape=after,
    )


def _strides(operation: Operation) -> tuple[int | float, ...] | None:
    strides = operation.options.get("strides")
    if operation.operator:
        if operation.name not in _BY_SIZE:
            return strides
        before, after = operation.inputs[0].shape, operation.outputs[0].shape
        sizes = zip(before[1:-1], after[1:-1], strict=True)
        return tuple(was / now if was % now else was // now for was, now in sizes)
    strides = operation.options.get(_WINDOW_STRIDES, strides)
    whole = len(operation.inputs[0].shape) if operation.inputs else 0
    if strides is not None and len(strides) == whole:
        # Those of batch and channels too.
        return tuple(strides[1:-1])
    return strides and tuple(strides)
