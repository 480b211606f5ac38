"""Which operator each site gets."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence

from jax import Array

from cnnlab.diagnostics.surgery.cut import Cut
from cnnlab.diagnostics.surgery.site import Site
from cnnlab.ops import pools, windows
from cnnlab.ops.registry import parse_spec, unwrapped

# A spec such as "lp_pool(p=3.0)", or a function (x, window_shape, strides, padding).
Operator = str | Callable[..., Array]
Choice = Mapping[int, Operator | None] | Operator | Callable[[Site], Operator | None]
_ARGUMENTS = ("x", "window_shape", "strides", "padding")


@dataclasses.dataclass(frozen=True)
class Resolved:
    """An operator that can be called.

    Attributes:
        window_shape: that of its spec; None leaves it to the site.
    """

    function: Callable[..., Array]
    window_shape: windows.Sizes | None
    name: str


def choose_operators(choice: Choice, cuts: Sequence[Cut]) -> dict[int, Resolved]:
    """The operators of the sites that `choice` swaps, by index.

    Raises:
        ValueError: an unknown operator or index, or a site that cannot be swapped.
        TypeError: what is no operator, or one that needs more than a map and windows.
    """
    if isinstance(choice, Mapping):
        unknown = [index for index in choice if index not in range(len(cuts))]
        if unknown:
            raise ValueError(
                f"choice: unknown site {unknown[0]!r}; the function has sites 0 to "
                f"{len(cuts) - 1}"
            )
        chosen = dict(choice)
    elif callable(choice) and not _accepts(choice, len(_ARGUMENTS)):
        if not _accepts(choice, 1):
            raise TypeError(_needs_more(choice))
        chosen = {cut.site.index: choice(cut.site) for cut in cuts}
    else:
        chosen = {cut.site.index: choice for cut in cuts}
    chosen = {index: one for index, one in chosen.items() if one is not None}
    resolved = {index: resolve(operator) for index, operator in chosen.items()}
    for index in resolved:
        if obstacle := cuts[index].site.obstacle:
            name = f"site {index} ({cuts[index].site.operator})"
            raise ValueError(f"choice: {name} cannot be swapped: {obstacle}")
    return resolved


def check_choice(choice: Choice) -> None:
    """Refuses what is no choice for any function, before the function is known.

    Raises:
        ValueError: an unknown operator.
        TypeError: what is no operator, or one that needs more than a map and windows.
    """
    if isinstance(choice, Mapping):
        for operator in choice.values():
            if operator is not None:
                resolve(operator)
    elif not (callable(choice) and _accepts(choice, 1)):
        resolve(choice)


def resolve(operator: Operator) -> Resolved:
    """The operator that a spec or a function is.

    Raises:
        ValueError: an unknown operator or option, or a malformed spec.
        TypeError: neither text nor a function, or one that needs more than a map and
            windows.
    """
    if isinstance(operator, str):
        name, options = parse_spec(operator)
        window_shape = options.pop("window_shape", None)
        if window_shape is not None:
            rank = windows.rank_of(window_shape)
            windows.sizes(window_shape, rank, "window_shape")
        listed = ", ".join(f"{option}={value!r}" for option, value in options.items())
        return Resolved(pools.resolve(f"{name}({listed})"), window_shape, operator)
    function = pools.resolve(operator)
    if not _accepts(function, len(_ARGUMENTS)):
        raise TypeError(_needs_more(function))
    name = getattr(unwrapped(function)[0], "__name__", type(function).__name__)
    return Resolved(function, None, name)


def _accepts(function: Callable, arguments: int) -> bool:
    """Whether a call with so many positional arguments binds."""
    try:
        inspect.signature(function).bind(*range(arguments))
    except TypeError:
        return False
    except ValueError:  # a signature that Python does not know
        return arguments == len(_ARGUMENTS)
    return True


def _needs_more(function: Callable) -> str:
    name = getattr(unwrapped(function)[0], "__name__", repr(function))
    return (
        f"choice: {name}{inspect.signature(function)} cannot be called as "
        f"operator({', '.join(_ARGUMENTS)}); bind what else it needs"
    )
