"""Every cut of a traced function, in the order they run."""

import dataclasses
import re
from collections.abc import Collection, Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from cnnlab.diagnostics.equations import (
    Scope,
    bodies_of,
    called_by,
    hides_a_program,
)
from cnnlab.diagnostics.program import operation_of
from cnnlab.diagnostics.surgery.cut import Cut, Location
from cnnlab.diagnostics.surgery.means import Level, fixed_variables, read_mean
from cnnlab.diagnostics.surgery.reading import read_cut, refused

_DERIVATIVES = ("jvp(", "transpose(")


@dataclasses.dataclass(frozen=True)
class _Where:
    """Where a program stands in the whole one.

    Attributes:
        obstacle: why nothing in it can be swapped, if so.
    """

    scope: Scope = Scope()
    location: Location = ()
    in_loop: bool = False
    obstacle: str | None = None


def find_cuts(program: ClosedJaxpr) -> tuple[Cut, ...]:
    """The cuts of a function's program on which its results depend."""
    needed = set(_variables(program.jaxpr.outvars))
    cuts = _walk(program, _Where(), needed, ())
    return tuple(
        dataclasses.replace(cut, site=dataclasses.replace(cut.site, index=index))
        for index, cut in enumerate(cuts)
    )


def _walk(
    program: ClosedJaxpr | Jaxpr,
    where: _Where,
    needed: set[Any],
    fixed_inputs: Collection[Any],
) -> Iterator[Cut]:
    """The cuts of `program` on which one of the variables `needed` depends."""
    jaxpr = getattr(program, "jaxpr", program)
    arrays = getattr(program, "consts", ())
    constants = dict(zip(jaxpr.constvars, arrays, strict=bool(arrays)))
    level = Level(jaxpr, fixed_variables(jaxpr, fixed_inputs), constants)
    wanted = _needed_outputs(jaxpr, needed)
    for position, (equation, outputs) in enumerate(
        zip(jaxpr.eqns, wanted, strict=True)
    ):
        if outputs and not level.fixed.issuperset(equation.outvars):
            inside = dataclasses.replace(where, location=(*where.location, position))
            yield from _of_equation(equation, level, inside, outputs)


def _of_equation(equation: JaxprEqn, level: Level, where: _Where, outputs):
    scope = where.scope.of(equation)
    called = called_by(equation, scope)
    if called is not None:
        inside = dataclasses.replace(where, scope=scope, location=(*where.location, 0))
        yield from _called(called, equation, level, inside, outputs)
        return
    for number, body in enumerate(bodies_of(equation)):
        inside = _Where(scope, (*where.location, number), True, where.obstacle)
        inner = getattr(body, "jaxpr", body)
        yield from _walk(body, inside, set(_variables(inner.outvars)), ())
    operation = operation_of(equation, scope)
    if hides_a_program(equation) and not operation.operator and not operation.bodies:
        obstacle = f"it is inside of {equation.primitive.name}"
        inside = dataclasses.replace(
            where, scope=scope, location=(*where.location, 0), obstacle=obstacle
        )
        for option in equation.params.values():
            for body in option if isinstance(option, tuple) else (option,):
                if isinstance(body, Jaxpr | ClosedJaxpr):
                    inner = getattr(body, "jaxpr", body)
                    yield from _walk(body, inside, set(_variables(inner.outvars)), ())
    cut = read_cut(equation, operation)
    if cut is None:
        return
    names = str(equation.source_info.name_stack)
    site = dataclasses.replace(
        cut.site, in_loop=where.in_loop, path=cut.site.path or _scopes(names)
    )
    cut = dataclasses.replace(cut, site=site, location=where.location)
    if where.obstacle:
        cut = refused(cut, where.obstacle)
    elif any(name in names for name in _DERIVATIVES):
        cut = refused(cut, "it is part of a derivative: swap the function itself")
    elif equation.primitive.name == "reduce_window_sum":
        cut = read_mean(cut, level, equation)
    yield cut


def _called(called, equation, level, where, outputs):
    inner = getattr(called, "jaxpr", called)
    outside = zip(equation.outvars, inner.outvars, strict=True)
    needed = set(_variables(var for out, var in outside if out in outputs))
    given = zip(equation.invars, inner.invars, strict=True)
    fixed = [
        var for out, var in given if isinstance(out, Literal) or out in level.fixed
    ]
    yield from _walk(called, where, needed, fixed)


def _needed_outputs(jaxpr: Jaxpr, needed: set[Any]) -> list[list[Any]]:
    """For each equation, the outputs on which one of `needed` depends."""
    needed, found = set(needed), []
    for equation in reversed(jaxpr.eqns):
        found.append([var for var in equation.outvars if var in needed])
        if found[-1]:
            needed.update(_variables(equation.invars))
    return found[::-1]


def _variables(variables) -> Iterator:
    return (variable for variable in variables if not isinstance(variable, Literal))


def _scopes(names: str) -> tuple[str, ...]:
    """The names around an equation, of libraries that put dots into them."""
    return tuple(re.findall(r"[\w.]*\.[\w.]*", names))
