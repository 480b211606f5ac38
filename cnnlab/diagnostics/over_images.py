"""A traced function of images, measured batch by batch."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.diagnostics.operation import Program, Value
from cnnlab.diagnostics.places import Place, places_of
from cnnlab.diagnostics.predictions import checked_images
from cnnlab.diagnostics.program import trace
from cnnlab.ops.arguments import check_count, check_integer

# Of one batch's leaves, named arrays with one entry for each image along the last axis.
Measure = Callable[[Sequence[Any]], dict[Any, jax.Array]]


@dataclasses.dataclass(frozen=True)
class OverImages:
    """A function of images as a program for one batch of them.

    Attributes:
        images: all of them.
        batch: how many the program takes, at least two, so that their axis is told from
            axes of one entry.
        image: which of the function's arguments they are, of how many `arguments`.
        places: of every value that depends on the images; None where it is unknown.
    """

    program: Program
    places: Mapping[Value, Place | None]
    images: np.ndarray
    batch: int
    leaves: Sequence[Any]
    position: int
    image: int
    arguments: int

    @property
    def named_image(self) -> dict[str, int]:
        """The option `image` where it has to be given: not the last of the args."""
        return {} if self.image == self.arguments - 1 else {"image": self.image}

    def measured(self, measure: Measure) -> dict[Any, np.ndarray]:
        """What `measure` gives, for all images; it is compiled once."""
        compiled = jax.jit(measure)
        pieces = []
        for start in range(0, len(self.images), self.batch):
            some = self.images[start : start + self.batch]
            # What stands beside the last images is cut off again.
            wanted = np.arange(self.batch) % len(some)
            leaves = list(self.leaves)
            leaves[self.position] = jnp.asarray(some[wanted])
            found = compiled(leaves).items()
            pieces.append({k: np.asarray(v)[..., : len(some)] for k, v in found})
        return {
            name: np.concatenate([piece[name] for piece in pieces], -1)
            for name in pieces[0]
        }


def over_images(
    function: Callable, args: Sequence[Any], image: int, batch_size: int
) -> OverImages:
    """`function(*args)` as a program; nothing is computed.

    Args:
        image: which of `args` the images are, `[examples, height, width, channels]`.

    Raises:
        TypeError: images that are no array of a floating-point dtype, a function that
            JAX cannot trace, or a number that is no integer.
        ValueError: images of another rank, empty, or not finite.
    """
    check_count("batch_size", batch_size)
    check_integer("image", image)
    if not -len(args) <= image < len(args):
        raise ValueError(f"image {image} is none of the {len(args)} arguments")
    image %= len(args)
    images = floating(checked_images(args[image]))
    batch = max(2, min(batch_size, len(images)))
    described = jax.ShapeDtypeStruct(
        (batch, *images.shape[1:]), jax.dtypes.canonicalize_dtype(images.dtype)
    )
    some = [*args[:image], described, *args[image + 1 :]]
    try:
        program = trace(function, *some)
    except jax.errors.JAXTypeError as error:
        first, *_ = str(error).splitlines()
        raise TypeError(f"function cannot be traced by JAX: {first}") from error
    position = len(jax.tree.leaves(list(args[:image])))
    places = places_of(program, position)
    leaves = jax.tree.leaves(some)
    return OverImages(
        program, places, images, batch, leaves, position, image, len(args)
    )


def floating(images: np.ndarray) -> np.ndarray:
    """`images`, or TypeError where they hold integers, which cannot move a little."""
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"images must be floating-point, got {images.dtype}")
    return images


def sum_per_image(x: jax.Array, batch: int) -> jax.Array:
    """The sum of the squares of all that `x` holds of each image.

    Args:
        batch: the axis along which one image follows another.
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    others = tuple(axis for axis in range(x.ndim) if axis != batch)
    return jnp.sum(x * x, axis=others)


def ratio(part: jax.Array, whole: jax.Array) -> jax.Array:
    """`part / whole`, 0 where both are."""
    nothing = (whole == 0) & (part == 0)
    return jnp.where(nothing, 0, part / jnp.where(nothing, 1, whole))
