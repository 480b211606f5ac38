"""The program of a function, or a line on why JAX finds none."""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr

_UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


def traced(
    function: Callable, *args, name: str | None = None
) -> tuple[ClosedJaxpr, Any]:
    """The program, and the tree of shapes that the function returns.

    Args:
        args: trees of arrays or `jax.ShapeDtypeStruct`s; nothing is computed.
        name: what the function is called in the error; None is its own name.

    Raises:
        TypeError: JAX cannot trace the function, as one of NumPy's.
    """
    try:
        return jax.make_jaxpr(function, return_shape=True)(*args)
    except _UNTRACEABLE as error:
        name = name or name_of(function)
        reason = str(error).splitlines()[0]
        raise TypeError(f"{name} cannot be traced by JAX: {reason}") from error


def name_of(function: Callable) -> str:
    """The function's name, or its class' where it has none."""
    return getattr(function, "__name__", type(function).__name__)
