"""A traced function, computed with other operators at some of its sites."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from cnnlab.diagnostics.equations import CALLS, bodies_of
from cnnlab.diagnostics.surgery.cut import Cut, Location
from cnnlab.diagnostics.surgery.loops import rebuild
from cnnlab.diagnostics.surgery.operators import Resolved
from cnnlab.diagnostics.surgery.passing import entrywise_after
from cnnlab.diagnostics.surgery.pending import Pending, pending, settled
from cnnlab.diagnostics.surgery.thinning import thinned

_REMAT = ("checkpoint", "remat", "remat2")


@dataclasses.dataclass(frozen=True)
class Swaps:
    """What is swapped in a program.

    Attributes:
        made: the cut and its new operator, by location.
        late: whether the operator after a convolution waits for what follows that
            entry by entry.
    """

    made: Mapping[Location, tuple[Cut, Resolved]]
    late: bool

    @functools.cached_property
    def opened(self) -> frozenset[Location]:
        """The equations that something is swapped inside of."""
        return frozenset(
            one[:end] for one in self.made for end in range(1, len(one), 2)
        )

    @functools.cached_property
    def divisions(self) -> dict[Location, int]:
        """The divisions that have nothing left to do, and their operand that stays."""
        return {
            (*one[:-1], cut.division[0]): cut.division[1]
            for one, (cut, _) in self.made.items()
            if cut.division is not None
        }


def compute(
    program: ClosedJaxpr | Jaxpr,
    inputs: Sequence[Any],
    swaps: Swaps,
    here: Location = (),
) -> list[Any]:
    """The outputs of a program, of which some may be maps still to be thinned.

    What nothing is swapped in is bound as it is, so that its derivatives stay its own.
    """
    jaxpr = getattr(program, "jaxpr", program)
    values = dict(zip(jaxpr.constvars, getattr(program, "consts", ()), strict=True))
    values |= zip(jaxpr.invars, inputs, strict=True)
    waiting: dict[Any, Any] = {}

    def read(variable):
        return variable.val if isinstance(variable, Literal) else values[variable]

    for position, equation in enumerate(jaxpr.eqns):
        where = (*here, position)
        arrays = list(map(read, equation.invars))
        if where in swaps.made:
            cut, operator = swaps.made[where]
            outputs = [_swapped(cut, operator, arrays, swaps.late)]
        elif where in swaps.divisions:
            # The operator has given the mean.
            outputs = [arrays[swaps.divisions[where]]]
        elif where in swaps.opened:
            outputs = _opened(equation, arrays, swaps, where)
        elif equation.outvars and equation.outvars[0] in waiting:
            outputs = [_passed(equation, arrays, waiting[equation.outvars[0]])]
        else:
            outputs = _bound(equation, arrays)
        for variable, value in zip(equation.outvars, outputs, strict=True):
            if isinstance(value, Pending):
                value = _waiting(jaxpr, variable, value, waiting)
            values[variable] = value
    return list(map(read, jaxpr.outvars))


def _waiting(jaxpr: Jaxpr, variable, value: Pending, waiting: dict[Any, Any]):
    """`value`, thinned now if nothing that can come before is still to come.

    Notes in `waiting` what can, with its layout.
    """
    if variable not in waiting:
        maps = entrywise_after(jaxpr, variable, value.layout)
        last = list(maps)[-1]
        waiting |= {one: (layout, one is last) for one, layout in maps.items()}
    _, is_last = waiting[variable]
    if not is_last:
        return value
    # What calls this program may go on.
    users = sum(variable is used for e in jaxpr.eqns for used in e.invars)
    results = sum(variable is result for result in jaxpr.outvars)
    return value if (users, results) == (0, 1) else settled(value)


def _swapped(cut: Cut, operator: Resolved, arrays, late: bool):
    dense = cut.dense(list(map(settled, arrays)))
    if late and cut.site.kind == "convolution":
        return pending(dense, cut, operator)
    return thinned(dense, cut.layout, cut, operator)


def _bound(equation: JaxprEqn, arrays) -> Sequence[Any]:
    primitive = equation.primitive
    options = primitive.get_bind_params(equation.params)
    with equation.ctx.manager:
        outputs = primitive.bind(*map(settled, arrays), **options)
    return outputs if primitive.multiple_results else [outputs]


def _opened(equation: JaxprEqn, arrays, swaps: Swaps, where: Location) -> list[Any]:
    name = equation.primitive.name
    if name not in CALLS:
        programs = bodies_of(equation)

        def bodies(number, inputs):
            outputs = compute(programs[number], inputs, swaps, (*where, number))
            return list(map(settled, outputs))

        return rebuild(equation, list(map(settled, arrays)), bodies)
    inside = (*where, 0)
    called = equation.params[CALLS[name]]
    if name not in _REMAT:
        return compute(called, arrays, swaps, inside)
    again = jax.checkpoint(
        lambda *inputs: list(map(settled, compute(called, inputs, swaps, inside))),
        prevent_cse=equation.params["prevent_cse"],
        policy=equation.params["policy"],
    )
    return again(*map(settled, arrays))


def _passed(equation: JaxprEqn, arrays, waiting) -> Pending:
    """What an equation gives entry by entry, of maps that wait."""
    layout, _ = waiting
    one = next(value for value in arrays if isinstance(value, Pending))
    given = [a.blocks if isinstance(a, Pending) else a for a in arrays]
    axes = [0 if isinstance(a, Pending) else None for a in arrays]
    blocks = jax.vmap(lambda *inputs: _bound(equation, inputs)[0], axes)(*given)
    return dataclasses.replace(one, blocks=blocks, layout=layout)
