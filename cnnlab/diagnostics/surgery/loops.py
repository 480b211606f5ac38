"""Loops and branches around programs that are computed anew."""

from collections.abc import Sequence
from typing import Any

from jax.extend.core import JaxprEqn

from cnnlab.diagnostics.loops import (
    Bodies,
    branched,
    repeated_while,
    scan_parts,
    scanned,
)


def rebuild(equation: JaxprEqn, inputs: Sequence[Any], bodies: Bodies) -> list[Any]:
    """The outputs of a loop or of branches whose bodies are computed by `bodies`."""
    options = equation.params
    if equation.primitive.name == "while":
        return repeated_while(options, inputs, bodies)
    if equation.primitive.name == "cond":
        return branched(len(options["branches"]), inputs, bodies)
    taken, given = (
        [variable.aval for variable in variables]
        for variables in (equation.invars, equation.outvars)
    )
    body = options["jaxpr"]
    parts = scan_parts(taken, given, body.in_avals, body.out_avals)
    return scanned(options, parts, inputs, lambda values: bodies(0, values))
