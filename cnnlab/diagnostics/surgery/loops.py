"""Loops and branches around programs that are computed anew."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import JaxprEqn

# The outputs of a body, by its number, from its inputs.
Bodies = Callable[[int, Sequence[Any]], list[Any]]


def rebuild(equation: JaxprEqn, inputs: Sequence[Any], bodies: Bodies) -> list[Any]:
    """The outputs of a loop or of branches whose bodies are computed by `bodies`."""
    return _REBUILT[equation.primitive.name](equation, inputs, bodies)


def _scan(equation, inputs, bodies):
    options = equation.params
    body = options["jaxpr"]
    # What is taken apart or stacked has one axis more outside.
    carried = _of_equal_rank(equation.outvars, body.out_avals)
    last = _of_equal_rank(equation.invars, body.in_avals)
    constants = inputs[: last - carried]

    def step(carry, entries):
        outputs = bodies(0, [*constants, *carry, *entries])
        return outputs[:carried], outputs[carried:]

    carry, stacked = jax.lax.scan(
        step,
        list(inputs[last - carried : last]),
        list(inputs[last:]),
        length=options["length"],
        reverse=options["reverse"],
        unroll=options["unroll"],
    )
    return [*carry, *stacked]


def _of_equal_rank(outside, inside):
    return sum(
        one.aval.ndim == other.ndim for one, other in zip(outside, inside, strict=True)
    )


def _while(equation, inputs, bodies):
    first = equation.params["cond_nconsts"]
    last = first + equation.params["body_nconsts"]
    tested, constants = inputs[:first], inputs[first:last]
    return jax.lax.while_loop(
        lambda carry: bodies(0, [*tested, *carry])[0],
        lambda carry: bodies(1, [*constants, *carry]),
        list(inputs[last:]),
    )


def _cond(equation, inputs, bodies):
    index, *operands = inputs
    branches = [
        lambda *operands, number=number: bodies(number, operands)
        for number in range(len(equation.params["branches"]))
    ]
    return jax.lax.switch(index, branches, *operands)


_REBUILT = {"scan": _scan, "while": _while, "cond": _cond}
