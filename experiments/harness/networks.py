"""The network that a command's flags name, each blamed for what it brings about."""

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from cnnlab.errors import UserError

if TYPE_CHECKING:
    from cnnlab.models.network import Network

# What a model or a pool raises for a value that it cannot take.
FAULTS = ValueError, TypeError, ArithmeticError

# Every entry of a map is looked at: of larger ones, for minutes.
_LARGEST = 1_000_000


def create(model: str, flags: Mapping[str, Any] | None = None) -> "Network":
    """The network of that spec, under the flags that are not none.

    Args:
        flags: options of `create_model`, and `num_classes`.

    Raises:
        UserError: about `model` or a flag, the first that is refused.
    """
    from cnnlab.models import create_model

    given = _given(flags)
    # One after the other, so that what is refused is known by its flag.
    for flag, options in {"model": {}, **{f: {f: v} for f, v in given.items()}}.items():
        try:
            create_model(model, **options)
        except FAULTS as error:
            raise UserError(flag, first_line(error)) from error
    return create_model(model, **given)


def classes_in(model: str) -> Any:
    """The number of classes that a spec sets; None where it sets none, or is none.

    No model takes it so: they are those of the images or weights.
    """
    from cnnlab.ops.registry import parse_spec

    try:
        return parse_spec(model)[1].get("num_classes")
    except ValueError:
        return None


def shapes(network: "Network", images: Any) -> Any:
    """Those of the network's variables; nothing is computed."""
    import jax

    return jax.eval_shape(network.init, jax.random.key(0), images)


def like(shape: tuple[int, ...], network: "Network") -> Any:
    """Images of that shape, without their pixels, as exact as the network computes."""
    import jax
    import jax.numpy as jnp

    return jax.ShapeDtypeStruct(shape, network.dtype or jnp.float32)


def in_training(network: "Network", variables: Any, images: Any) -> Any:
    """What the network says of the images while it is trained."""
    import jax

    keys = {name: jax.random.key(0) for name in ("dropout", "pool")}
    collections = [name for name in variables if name != "params"]
    return network.apply(variables, images, train=True, mutable=collections, rngs=keys)[
        0
    ]


def refuse_fault(model: str, flags: Mapping[str, Any], shape: tuple[int, ...]) -> None:
    """Lets a network pass that can be traced on such images, in training too.

    Raises:
        UserError: about the first that brings the fault about: `model`, on images of
            its paper; `input`, these images; or a flag, added after those before it.
    """
    import jax

    size = by(shape[1:])
    paper = (shape[0], *create(model).image_shape)
    attempts = [("model", model, {}, paper), ("input", size, {}, shape)]
    added: dict[str, Any] = {}
    for flag, value in _given(flags).items():
        added = {**added, flag: value}
        attempts.append((flag, value, added, shape))
    for flag, value, added, shape in attempts:
        network = create(model, added)
        images = like(shape, network)
        try:
            variables = shapes(network, images)
            jax.eval_shape(partial(in_training, network), variables, images)
        except FAULTS as error:
            raise UserError(
                flag, f"'{value}' does not fit: {first_line(error)}"
            ) from error


def image_shape(size: str | None, given: tuple[int, int, int]) -> tuple[int, int, int]:
    """The shape that `--input` asks for, as given where it is silent.

    Raises:
      UserError: it is no size.
    """
    if size is None:
        return given
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){0,2}", size):
        raise UserError(
            "input", f"'{size}' is no size; write 224, 224x160 or 32x32x1, in pixels"
        )
    lengths = tuple(map(int, size.split("x")))
    if max(lengths) > _LARGEST:
        raise UserError("input", f"'{size}' is more than {_LARGEST:,} a side")
    height, width, *channels = lengths if len(lengths) > 1 else lengths * 2
    return height, width, *(channels or given[2:])


def by(shape: tuple[int, ...]) -> str:
    """A size or shape as it is written: 224x224x3."""
    return "x".join(map(str, shape))


def first_line(error: Exception) -> str:
    """What the error says, without what JAX adds to it."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _given(flags: Mapping[str, Any] | None) -> dict[str, Any]:
    return {flag: value for flag, value in (flags or {}).items() if value is not None}
