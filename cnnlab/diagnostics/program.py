"""A traced function as a list of operations.

Each of cnnlab's operators is one operation, whatever its lowering, and so is every
primitive of JAX outside of them. Calls (`jax.jit`, custom derivatives, remat) are
opened, so that their operations stand in the list; loops and branches are operations
with programs of their own. What no result needs is left out.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from cnnlab.diagnostics.equations import (
    CALLS,
    Scope,
    bodies_of,
    called_by,
    hides_a_program,
    is_entrywise,
    is_operator,
    kind_of,
    opened,
    read_call,
)
from cnnlab.diagnostics.operation import Operation, Program, Value
from cnnlab.diagnostics.tracing import traced


def trace(function: Callable, *args) -> Program:
    """The program of `function`; its inputs are the leaves of `args`, in order.

    Args:
        args: trees of arrays or `jax.ShapeDtypeStruct`s; nothing is computed.

    Raises:
        TypeError: JAX cannot trace the function.
    """
    jaxpr, _ = traced(function, *args)
    return _program(jaxpr, Scope())


def operation_of(equation: JaxprEqn, scope: Scope) -> Operation:
    """An equation as one operation, whatever its inputs come from."""
    inputs = tuple(_lookup({}, equation.invars))
    outputs = tuple(map(_value, equation.outvars))
    return _operation(equation, inputs, outputs, scope)


def _program(jaxpr, scope: Scope, unneeded: frozenset[int] = frozenset()) -> Program:
    values = _constants(jaxpr)
    jaxpr = opened(jaxpr)
    values |= {var: _value(var) for var in jaxpr.invars}
    operations: list[Operation] = []
    _collect(jaxpr, values, scope, operations)
    outputs = tuple(_lookup(values, jaxpr.outvars))
    inputs = tuple(values[var] for var in jaxpr.invars)
    needed = {value for i, value in enumerate(outputs) if i not in unneeded}
    return Program(inputs, _needed(operations, needed), outputs)


def _collect(jaxpr: Jaxpr, values, scope: Scope, operations) -> None:
    """Appends the operations of `jaxpr`, whose inputs and constants `values` holds."""
    for equation in jaxpr.eqns:
        here = scope.of(equation)
        inputs = tuple(_lookup(values, equation.invars))
        called = called_by(equation, here)
        if called is not None:
            inner = opened(called)
            inside = dict(zip(inner.invars, inputs, strict=True))
            inside |= _constants(called)
            name = str(equation.params.get("name", "_"))
            if not name.startswith(("_", "<")) and all(map(is_entrywise, inner.eqns)):
                here = dataclasses.replace(here, group=name)
            _collect(inner, inside, here, operations)
            outputs = tuple(_lookup(inside, inner.outvars))
        else:
            outputs = tuple(map(_value, equation.outvars))
            operations.append(_operation(equation, inputs, outputs, here))
        values.update(zip(equation.outvars, outputs, strict=True))


def _operation(equation, inputs, outputs, scope) -> Operation:
    name, options = equation.primitive.name, equation.params
    operator, inside = is_operator(equation, scope), None
    if operator:
        body = options[CALLS[name]]
        name, options = read_call(options["name"])
        within = Scope(scope.path)
        inside = lambda unneeded: (_program(body, within, unneeded),)  # noqa: E731
    elif bodies := bodies_of(equation):
        # What a loop gives it may need itself.
        inside = lambda _: tuple(_program(body, scope) for body in bodies)  # noqa: E731
    return Operation(
        name,
        options,
        inputs,
        outputs,
        scope.path,
        operator,
        scope.group,
        opaque=inside is None and hides_a_program(equation),
        evaluate=functools.partial(_evaluate, equation),
        kind=(operator, kind_of(equation)),
        **({} if inside is None else {"opened": inside}),
    )


def _evaluate(equation: JaxprEqn, *arrays) -> Sequence[Any]:
    primitive = equation.primitive
    options = primitive.get_bind_params(equation.params)
    with equation.ctx.manager:
        outputs = primitive.bind(*arrays, **options)
    return outputs if primitive.multiple_results else [outputs]


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
    variables = opened(jaxpr).constvars
    arrays = getattr(jaxpr, "consts", None) or [None] * len(variables)
    return {
        variable: _value(variable, array)
        for variable, array in zip(variables, arrays, strict=True)
    }


def _value(variable, constant=None) -> Value:
    aval = variable.aval
    return Value(getattr(aval, "shape", ()), getattr(aval, "dtype", None), constant)
