"""A traced function as a list of operations.

Each of cnnlab's operators is one operation, whatever its lowering, and so is every
primitive of JAX outside of them. Calls (`jax.jit`, custom derivatives, remat) are
opened, so that their operations stand in the list; loops and branches are operations
with programs of their own. What no result needs is left out.
"""

import ast
import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
from jax.extend.core import Jaxpr, JaxprEqn, Literal

from cnnlab.diagnostics.elementwise import ELEMENTWISE


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """One array of a program, told from others by identity."""

    shape: tuple[int, ...]
    dtype: Any

    @property
    def size(self) -> int:
        """How many entries it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes it takes; 0 for what is no array."""
        return self.size * getattr(self.dtype, "itemsize", 0)


@dataclasses.dataclass(frozen=True, eq=False)
class Operation:
    """One step of a program.

    Attributes:
        name: the operator's, such as "max_pool", or the primitive's.
        options: what the operator was called with, or the primitive's parameters.
        path: the Flax modules it is called in, such as ("ResNet", "Conv_0").
        operator: whether it is one of cnnlab's.
        group: the call that it is a part of, if that does elementwise work alone, such
            as "relu".
        unneeded: the positions of its outputs that no result of the program needs.
    """

    name: str
    options: Mapping[str, Any]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    path: tuple[str, ...]
    operator: bool = False
    group: str | None = None
    inner: tuple[Jaxpr, ...] = dataclasses.field(default=(), repr=False)
    unneeded: frozenset[int] = frozenset()

    @functools.cached_property
    def bodies(self) -> tuple["Program", ...]:
        """The programs inside: an operator's, a loop's, each branch's."""
        # What a loop gives it may need itself.
        unneeded = self.unneeded if self.operator else frozenset()
        return tuple(_program(jaxpr, self.path, unneeded) for jaxpr in self.inner)


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """Operations in order; values that none of them gives are inputs or constants."""

    inputs: tuple[Value, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[Value, ...]

    def steps(
        self, weight: Callable[["Program"], int] = lambda body: len(body.operations)
    ) -> Iterator["Step"]:
        """Every operation that runs, those of loops and branches in their place.

        Args:
            weight: of branches, the heaviest is taken.
        """
        for operation in self.operations:
            if operation.operator or operation.name not in _BODIES:
                yield Step(operation, 1, True)
                continue
            bodies, known = operation.bodies, operation.name != "while"
            if operation.name == "cond":
                bodies = (max(bodies, key=weight),)
            times = operation.options["length"] if operation.name == "scan" else 1
            for step in itertools.chain(*(body.steps(weight) for body in bodies)):
                counted = step.counted and known
                yield Step(step.operation, step.times * times, counted)


@dataclasses.dataclass(frozen=True)
class Step:
    """An operation and how often it runs.

    `counted` is False inside a loop whose trips are not known before it runs: `times`
    is then for one trip.
    """

    operation: Operation
    times: int
    counted: bool


def trace(function: Callable, *args) -> Program:
    """The program of `function`; its inputs are the leaves of `args`, in order.

    Args:
        args: trees of arrays or `jax.ShapeDtypeStruct`s; nothing is computed.
    """
    return _program(jax.make_jaxpr(function)(*args).jaxpr, ())


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


# Primitives that call one function, by where they keep it. JAX renames them at times.
_CALLS = {
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


def _program(
    jaxpr: Jaxpr, path: tuple[str, ...], unneeded: frozenset[int] = frozenset()
) -> Program:
    jaxpr = _opened(jaxpr)
    values = {var: _value(var) for var in (*jaxpr.invars, *jaxpr.constvars)}
    operations = []
    _collect(jaxpr, values, path, None, operations)
    outputs = tuple(_lookup(values, jaxpr.outvars))
    inputs = tuple(values[var] for var in jaxpr.invars)
    needed = {value for i, value in enumerate(outputs) if i not in unneeded}
    return Program(inputs, _needed(operations, needed), outputs)


def _collect(jaxpr, values, path, group, operations) -> None:
    """Appends the operations of `jaxpr`, whose inputs and constants `values` holds."""
    for equation in jaxpr.eqns:
        inputs = tuple(_lookup(values, equation.invars))
        here = path + _modules(equation)
        name, options = equation.primitive.name, equation.params
        called = _CALLS.get(name)
        own_name = str(options.get("name", ""))
        if called is not None and "(" not in own_name and called in options:
            inner = _opened(options[called])
            inside = dict(zip(inner.invars, inputs, strict=True))
            inside |= {var: _value(var) for var in inner.constvars}
            part = own_name if _is_one_function(own_name, inner) else group
            _collect(inner, inside, here, part, operations)
            outputs = _lookup(inside, inner.outvars)
            values.update(zip(equation.outvars, outputs, strict=True))
            continue
        outputs = tuple(_value(var) for var in equation.outvars)
        values.update(zip(equation.outvars, outputs, strict=True))
        operator = called is not None and "(" in own_name
        inner = ()
        if operator:
            inner = (options[called],)
            name, options = read_call(own_name)
        elif name in _BODIES:
            inner = _BODIES[name](options)
        operations.append(
            Operation(name, options, inputs, outputs, here, operator, group, inner)
        )


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
            kept.append(
                dataclasses.replace(operation, unneeded=idle) if idle else operation
            )
    return tuple(reversed(kept))


def _is_one_function(name: str, jaxpr: Jaxpr) -> bool:
    """Whether a call is best known by its own name, as `relu` is."""
    return not name.startswith(("_", "<")) and all(
        _is_elementwise(equation) for equation in jaxpr.eqns
    )


def _is_elementwise(equation: JaxprEqn) -> bool:
    name = equation.primitive.name
    if name in _CALLS and "(" not in str(equation.params.get("name", "")):
        inner = _opened(equation.params[_CALLS[name]])
        return all(map(_is_elementwise, inner.eqns))
    return name in ELEMENTWISE or name == "broadcast_in_dim"


def _lookup(values, variables) -> Iterator[Value]:
    for variable in variables:
        known = None if isinstance(variable, Literal) else values.get(variable)
        yield known or _value(variable)


def _value(variable) -> Value:
    aval = variable.aval
    return Value(getattr(aval, "shape", ()), getattr(aval, "dtype", None))


def _opened(jaxpr) -> Jaxpr:
    """The jaxpr inside of a closed one."""
    return getattr(jaxpr, "jaxpr", jaxpr)


def _modules(equation: JaxprEqn) -> tuple[str, ...]:
    """The Flax modules in whose calls an equation arose, without their methods."""
    names = str(equation.source_info.name_stack).split("/")
    return tuple(name for name in names if name and "." not in name)
