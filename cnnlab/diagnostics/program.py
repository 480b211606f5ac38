"""A traced function as a list of operations.

Each of cnnlab's operators is one operation, whatever its lowering, and so is every
primitive of JAX outside of them. Calls (`jax.jit`, custom derivatives, remat) are
opened, so that their operations stand in the list; loops and branches are operations
with programs of their own. What no result needs is left out.
"""

import ast
import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from cnnlab.diagnostics.elementwise import ELEMENTWISE
from cnnlab.diagnostics.operation import Operation, Program, Value


def trace(function: Callable, *args) -> Program:
    """The program of `function`; its inputs are the leaves of `args`, in order.

    Args:
        args: trees of arrays or `jax.ShapeDtypeStruct`s; nothing is computed.
    """
    return _program(jax.make_jaxpr(function)(*args), Place())


def operation_of(equation: JaxprEqn, place: "Place") -> Operation:
    """An equation as one operation, whatever its inputs come from."""
    inputs = tuple(_lookup({}, equation.invars))
    outputs = tuple(map(_value, equation.outvars))
    return _operation(equation, inputs, outputs, place)


def called_by(equation: JaxprEqn, place: "Place") -> Jaxpr | ClosedJaxpr | None:
    """What an equation calls; None if it calls nothing, or one of cnnlab's operators.

    Args:
        place: the equation's own, as of `Place.of`.
    """
    called = equation.params.get(CALLS.get(equation.primitive.name))
    return None if called is None or _is_operator(equation, place) else called


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


@dataclasses.dataclass(frozen=True)
class Place:
    """Where in a program an equation stands.

    Attributes:
        transposed: inside the transpose of a derivative. Calls keep their names there,
            and mean something else.
    """

    path: tuple[str, ...] = ()
    group: str | None = None
    transposed: bool = False

    def of(self, equation: JaxprEqn) -> "Place":
        """The place of an equation here, whose own names start from here."""
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


def _program(jaxpr, place: Place, unneeded: frozenset[int] = frozenset()) -> Program:
    values = _constants(jaxpr)
    jaxpr = _opened(jaxpr)
    values |= {var: _value(var) for var in jaxpr.invars}
    operations: list[Operation] = []
    _collect(jaxpr, values, place, operations)
    outputs = tuple(_lookup(values, jaxpr.outvars))
    inputs = tuple(values[var] for var in jaxpr.invars)
    needed = {value for i, value in enumerate(outputs) if i not in unneeded}
    return Program(inputs, _needed(operations, needed), outputs)


def _collect(jaxpr: Jaxpr, values, place: Place, operations) -> None:
    """Appends the operations of `jaxpr`, whose inputs and constants `values` holds."""
    for equation in jaxpr.eqns:
        here = place.of(equation)
        inputs = tuple(_lookup(values, equation.invars))
        called = called_by(equation, here)
        if called is not None:
            inner = _opened(called)
            inside = dict(zip(inner.invars, inputs, strict=True))
            inside |= _constants(called)
            name = str(equation.params.get("name", "_"))
            if not name.startswith(("_", "<")) and all(map(_is_entrywise, inner.eqns)):
                here = dataclasses.replace(here, group=name)
            _collect(inner, inside, here, operations)
            outputs = tuple(_lookup(inside, inner.outvars))
        else:
            outputs = tuple(map(_value, equation.outvars))
            operations.append(_operation(equation, inputs, outputs, here))
        values.update(zip(equation.outvars, outputs, strict=True))


def _operation(equation, inputs, outputs, place) -> Operation:
    name, options = equation.primitive.name, equation.params
    operator, opened = _is_operator(equation, place), None
    if operator:
        body = options[CALLS[name]]
        name, options = read_call(options["name"])
        inside = Place(place.path)
        opened = lambda unneeded: (_program(body, inside, unneeded),)  # noqa: E731
    elif name in _BODIES:
        bodies = bodies_of(equation)
        # What a loop gives it may need itself.
        opened = lambda _: tuple(_program(body, place) for body in bodies)  # noqa: E731
    return Operation(
        name,
        options,
        inputs,
        outputs,
        place.path,
        operator,
        place.group,
        opaque=opened is None and hides_a_program(equation),
        evaluate=functools.partial(_evaluate, equation),
        **({} if opened is None else {"opened": opened}),
    )


def _evaluate(equation: JaxprEqn, *arrays) -> Sequence[Any]:
    primitive = equation.primitive
    options = primitive.get_bind_params(equation.params)
    with equation.ctx.manager:
        outputs = primitive.bind(*arrays, **options)
    return outputs if primitive.multiple_results else [outputs]


def _is_operator(equation: JaxprEqn, place: Place) -> bool:
    """Whether an equation is a call of one of cnnlab's operators, by its name."""
    is_call = equation.primitive.name in CALLS
    named = is_call and "(" in str(equation.params.get("name", ""))
    return named and not place.transposed


def hides_a_program(equation: JaxprEqn) -> bool:
    """Whether an equation runs a program of its own, whatever it does with it."""
    if equation.primitive.name.startswith(_FOLDS):
        return False
    options = equation.params.values()
    several = (option if isinstance(option, tuple) else (option,) for option in options)
    return any(
        isinstance(one, (Jaxpr, ClosedJaxpr)) for some in several for one in some
    )


def _is_entrywise(equation: JaxprEqn) -> bool:
    name = equation.primitive.name
    if name in CALLS and not _is_operator(equation, Place()):
        return all(map(_is_entrywise, _opened(equation.params[CALLS[name]]).eqns))
    return name in ELEMENTWISE or name == "broadcast_in_dim"


def _needed(
    operations: Sequence[Operation], needed: set[Value]
) -> tuple[Operation, ...]:
    """Those on which a value of `needed` depends."""
    kept = []
    for operation in reversed(operations):
        idle = frozenset(
            i for i, value in enumerate(operation.outputs) if value not in needed
        )
        if len(idle) < len(operation.outputs):
            needed.update(operation.inputs)
            kept.append(dataclasses.replace(operation, unneeded=idle))
    return tuple(reversed(kept))


def _lookup(values, variables) -> Iterator[Value]:
    for variable in variables:
        if isinstance(variable, Literal):
            yield _value(variable, variable.val)
        else:
            yield values.get(variable) or _value(variable)


def _constants(jaxpr: Jaxpr | ClosedJaxpr) -> dict[Any, Value]:
    """The values of what a program holds; an open one does not hold their arrays."""
    variables = _opened(jaxpr).constvars
    arrays = getattr(jaxpr, "consts", None) or [None] * len(variables)
    return {
        variable: _value(variable, array)
        for variable, array in zip(variables, arrays, strict=True)
    }


def _value(variable, constant=None) -> Value:
    aval = variable.aval
    return Value(getattr(aval, "shape", ()), getattr(aval, "dtype", None), constant)


def _opened(jaxpr: Jaxpr | ClosedJaxpr) -> Jaxpr:
    return getattr(jaxpr, "jaxpr", jaxpr)
