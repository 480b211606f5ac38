"""One equation of a traced function: what it calls, and what it stands for."""

import ast
import dataclasses
import re
from collections.abc import Hashable
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from cnnlab.diagnostics.elementwise import ELEMENTWISE

# Primitives that call one function, by where they keep it. JAX renames them at times.
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "checkpoint": "jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
}
_BODIES = {
    "scan": lambda options: (options["jaxpr"],),
    "while": lambda options: (options["cond_jaxpr"], options["body_jaxpr"]),
    "cond": lambda options: tuple(options["branches"]),
}
# Their inner functions are of single entries.
_FOLDS = ("reduce", "scatter", "select_and")


@dataclasses.dataclass(frozen=True)
class Scope:
    """Where in a program an equation stands.

    Attributes:
        transposed: inside the transpose of a derivative. Calls keep their names there,
            and mean something else.
    """

    path: tuple[str, ...] = ()
    group: str | None = None
    transposed: bool = False

    def of(self, equation: JaxprEqn) -> "Scope":
        """The scope of an equation here, whose own names start from here."""
        names = str(equation.source_info.name_stack)
        path = self.path + tuple(filter(_is_module, map(_bare, names.split("/"))))
        transposed = self.transposed or "transpose(" in names
        return dataclasses.replace(self, path=path, transposed=transposed)


def _bare(name: str) -> str:
    """A name without the transformations around it: `jvp(Conv_0)` is `Conv_0`."""
    while wrapped := re.fullmatch(r"\w+\((.*)\)", name):
        name = wrapped[1]
    return name


def _is_module(name: str) -> bool:
    # What has a dot is a method.
    return bool(name) and "." not in name


def called_by(equation: JaxprEqn, scope: Scope) -> Jaxpr | ClosedJaxpr | None:
    """What an equation calls; None if it calls nothing, or one of cnnlab's operators.

    Args:
        scope: the equation's own, as of `Scope.of`.
    """
    called = equation.params.get(CALLS.get(equation.primitive.name))
    return None if called is None or is_operator(equation, scope) else called


def bodies_of(equation: JaxprEqn) -> tuple[Jaxpr | ClosedJaxpr, ...]:
    """The programs of a loop or of branches; none of any other equation."""
    bodies = _BODIES.get(equation.primitive.name)
    return () if bodies is None else bodies(equation.params)


def read_call(call: str) -> tuple[str, dict[str, Any]]:
    """An operator's name and options, read from the name of its equation.

    An option that is no literal, such as a function, is its text.
    """
    name = call.partition("(")[0]
    # What Python writes for a function is no Python.
    while (plain := re.sub(r"<[^<>]*>", "'a function'", call)) != call:
        call = plain
    try:
        keywords = ast.parse(call, mode="eval").body.keywords
    except SyntaxError:
        return name, {}
    return name, {keyword.arg: _literal(keyword.value) for keyword in keywords}


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def is_operator(equation: JaxprEqn, scope: Scope) -> bool:
    """Whether an equation is a call of one of cnnlab's operators, by its name."""
    is_call = equation.primitive.name in CALLS
    named = is_call and "(" in str(equation.params.get("name", ""))
    return named and not scope.transposed


def kind_of(equation: JaxprEqn) -> Hashable:
    """Equal where equations compute the same of values of the same shapes.

    Programs that they hold are told by identity, which JAX keeps for one function on
    the same shapes.
    """
    options = equation.params.items()
    avals = tuple(variable.aval for variable in equation.invars)
    kind = equation.primitive, avals, tuple(sorted(options, key=lambda one: one[0]))
    try:
        hash(kind)
    except TypeError:
        return object()
    return kind


def hides_a_program(equation: JaxprEqn) -> bool:
    """Whether an equation runs a program of its own, whatever it does with it."""
    if equation.primitive.name.startswith(_FOLDS):
        return False
    options = equation.params.values()
    several = (option if isinstance(option, tuple) else (option,) for option in options)
    return any(
        isinstance(one, (Jaxpr, ClosedJaxpr)) for some in several for one in some
    )


def is_entrywise(equation: JaxprEqn) -> bool:
    """Whether it treats every entry alone, or calls nothing that does not."""
    name = equation.primitive.name
    if name in CALLS and not is_operator(equation, Scope()):
        return all(map(is_entrywise, opened(equation.params[CALLS[name]]).eqns))
    return name in ELEMENTWISE or name == "broadcast_in_dim"


def opened(jaxpr: Jaxpr | ClosedJaxpr) -> Jaxpr:
    """A program without the arrays that it holds."""
    return getattr(jaxpr, "jaxpr", jaxpr)
