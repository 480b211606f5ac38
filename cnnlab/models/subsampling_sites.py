"""Where a network thins its maps."""

import dataclasses

import jax
import jax.numpy as jnp

from cnnlab.diagnostics.program import Operation, trace
from cnnlab.models.network import Network

# The parameters that hold the strides of JAX's primitives.
_WINDOW_STRIDES = "window_strides"


@dataclasses.dataclass(frozen=True)
class Site:
    """A place where one entry is kept for several.

    Attributes:
        path: the modules it is in, the network first.
        operator: what has the strides: "conv", a pool, or a primitive of JAX, of which
            "slice" keeps entries as they are.
        strides: one per spatial axis.
        input_shape, output_shape: of the maps, `[batch, *spatial, channels]`.
    """

    path: tuple[str, ...]
    operator: str
    strides: tuple[int, ...]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    def __str__(self) -> str:
        sizes = (
            "x".join(map(str, shape[1:-1]))
            for shape in (self.input_shape, self.output_shape)
        )
        strides = "x".join(map(str, self.strides))
        return (
            f"{'/'.join(self.path)}: {self.operator} /{strides}, {' to '.join(sizes)}"
        )


def sites(
    model: Network, image_shape: tuple[int, int, int] | None = None
) -> tuple[Site, ...]:
    """Every place where `model` thins its maps in evaluation, in the order they run.

    They are read from the traced program, not from what the model says of itself, so
    none is left out: stems, pools, strided convolutions, projections and slices alike.
    A network with `downsample=` has that pool at all of them.

    Args:
        image_shape: `(height, width, channels)`; None is the paper's.
    """
    images = jax.ShapeDtypeStruct((1, *(image_shape or model.image_shape)), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    program = trace(model.apply, variables, images)
    found = (_site(step.operation) for step in program.steps())
    return tuple(site for site in found if site is not None)


def _site(operation: Operation) -> Site | None:
    strides = operation.options.get("strides")
    if not operation.operator:
        strides = operation.options.get(_WINDOW_STRIDES, strides)
        whole = len(operation.inputs[0].shape) if operation.inputs else 0
        if strides is not None and len(strides) == whole:
            # Those of batch and channels too.
            strides = strides[1:-1]
    if strides is None or set(strides) <= {1}:
        return None
    return Site(
        path=operation.path,
        operator=operation.name,
        strides=tuple(strides),
        input_shape=operation.inputs[0].shape,
        output_shape=operation.outputs[0].shape,
    )
