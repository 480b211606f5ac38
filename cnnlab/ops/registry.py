"""Names for functions, and the specs in which users write them down."""

import ast
import functools
import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any


class Registry(Mapping[str, Callable]):
    """Functions by name. `register` adds one under its own `__name__`.

    A *spec* is a name with options, such as `"lp_pool(p=3.0)"`; options are Python
    literals and are never evaluated.
    """

    def __init__(
        self, kind: str, options_of: Callable[[Callable], list[str]] | None = None
    ):
        """Holds functions of this kind.

        Args:
            options_of: the options that a function takes in a spec; None means its
                keyword-only arguments.
        """
        self.kind = kind
        self._functions: dict[str, Callable] = {}
        self._options_of = options_of or _option_names

    def register(self, function: Callable) -> Callable:
        """`function`, now found under its name. A name is given once."""
        name = function.__name__
        if name in self._functions:
            raise ValueError(f"{self.kind} {name!r} is registered already")
        self._functions[name] = function
        return function

    def __getitem__(self, name: str) -> Callable:
        return self._functions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def resolve(self, spec: str | Callable) -> Callable:
        """The function that `spec` names, its options bound; a callable is itself.

        Raises:
            ValueError: an unknown name or option, or a malformed spec.
            TypeError: neither text nor a function.
        """
        if callable(spec):
            return spec
        if not isinstance(spec, str):
            raise TypeError(f"a {self.kind} is a spec or a function, got {spec!r}")
        name, options = parse_spec(spec)
        if name not in self:
            raise ValueError(
                f"unknown {self.kind} {name!r}; choose from {', '.join(sorted(self))}"
            )
        function = self[name]
        allowed = self._options_of(function)
        for option, value in options.items():
            if not isinstance(value, Hashable):
                raise ValueError(f"{name}'s option {option!r} cannot be {value!r}")
            if option not in allowed:
                choices = ", ".join(allowed) if allowed else "none"
                raise ValueError(
                    f"{name} has no option {option!r}; its options: {choices}"
                )
        return functools.partial(function, **options) if options else function


def parse_spec(spec: str) -> tuple[str, dict[str, Any]]:
    """A spec's name and options: `("lp_pool", {"p": 3.0})` for `"lp_pool(p=3.0)"`.

    Raises:
        ValueError: `spec` is neither a name nor `name(option=literal, ...)`.
    """
    try:
        node = ast.parse(spec.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, {}
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            raise ValueError
        if node.args or any(keyword.arg is None for keyword in node.keywords):
            raise ValueError
        options = {k.arg: ast.literal_eval(k.value) for k in node.keywords}
        if len(options) < len(node.keywords):
            raise ValueError
    except (SyntaxError, ValueError, TypeError):
        raise ValueError(
            f"malformed spec {spec!r}; write a name, or name(option=value, ...)"
        ) from None
    return node.func.id, options


def unwrapped(function: Callable) -> tuple[Callable, dict[str, Any]]:
    """The function inside of `functools.partial`s, and the keywords that they bind."""
    bound = {}
    while isinstance(function, functools.partial):
        bound, function = {**function.keywords, **bound}, function.func
    return function, bound


def takes(function: Callable, argument: str) -> bool:
    """Whether `function` has an argument of that name."""
    return argument in inspect.signature(function).parameters


def _option_names(function: Callable) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    # `key` is randomness, which the caller passes call by call.
    return [p.name for p in parameters if p.kind == p.KEYWORD_ONLY and p.name != "key"]
