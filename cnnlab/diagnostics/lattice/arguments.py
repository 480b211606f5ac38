"""What a function is given: its image, and leaves that are drawn."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Int

from cnnlab.diagnostics.lattice.copies import is_float
from cnnlab.diagnostics.lattice.drawing import draw_weights
from cnnlab.errors import UserError


def image_of(
    args: Sequence[Any], image: int, spatial: Sequence[int] | None
) -> tuple[int, tuple[int, int], tuple[int, int]]:
    """The position of the image among `args`, its spatial axes, and their sizes.

    Raises:
        UserError: there is no such image, or it has no two such axes.
    """
    if not -len(args) <= image < len(args):
        raise UserError("image", f"{image} must be one of {len(args)} arguments")
    given = args[image]
    if not (hasattr(given, "shape") and hasattr(given, "dtype")):
        raise UserError("image", f"must be an array, got {type(given).__name__}")
    if not is_float(given.dtype):
        raise UserError("image", f"must hold floating-point numbers, got {given.dtype}")
    rank = len(given.shape)
    if spatial is None:
        if rank < 3:
            raise UserError(
                "image",
                f"must be [*batch, height, width, channels], got shape {given.shape}",
            )
        spatial = (rank - 3, rank - 2)
    axes = tuple(axis % rank if -rank <= axis < rank else rank for axis in spatial)
    if len(axes) != 2 or axes[0] == axes[1] or rank in axes:
        raise UserError(
            "spatial", f"{spatial} must be two axes of an image of shape {given.shape}"
        )
    shape = tuple(given.shape[axis] for axis in axes)
    if min(given.shape) < 1 or max(shape) < 2:
        raise UserError("image", f"of shape {given.shape} has no shift to certify")
    return image % len(args), axes, shape


def shifts_of(
    given: Sequence[tuple[int, int]] | None, shape: tuple[int, int]
) -> Int[np.ndarray, "shifts two"]:
    """The shifts of a torus of that shape that are given, each once; None means all.

    Raises:
        UserError: they are no pairs of whole numbers of pixels.
    """
    if given is None:
        return np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), -1)
    shifts = np.asarray(given)
    if shifts.ndim != 2 or shifts.shape[1] != 2 or not len(shifts):
        raise UserError("shifts", f"must be pairs (dy, dx), got {given!r}")
    if not np.issubdtype(shifts.dtype, np.integer):
        raise UserError("shifts", f"must be whole pixels, got {given!r}")
    return np.unique(shifts % shape, axis=0)


def described(leaf: Any, dtype: DTypeLike) -> Any:
    """What stands for a leaf: a description where it is drawn, or what it is."""
    given = getattr(leaf, "dtype", None)
    if given is not None and is_float(given):
        return jax.ShapeDtypeStruct(leaf.shape, dtype)
    if isinstance(leaf, jax.ShapeDtypeStruct):
        if jnp.issubdtype(given, jax.dtypes.prng_key):
            return jax.random.split(jax.random.key(0), leaf.shape)
        return np.zeros(leaf.shape, given)
    return leaf


def drawn(leaf: Any, rng: np.random.Generator) -> Any:
    """Weights for what `described` describes."""
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return draw_weights(leaf.shape, rng).astype(leaf.dtype)
    return leaf
