"""A traced program, computed operation by operation."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from cnnlab.diagnostics.operation import Operation, Program, Value

# The arrays of an operation's outputs from those of its inputs; None: as it is.
Rule = Callable[[Operation, Sequence[Any]], Sequence[Any] | None]


def run(
    program: Program, arrays: Sequence[Any], rule: Rule, inside: Rule | None = None
) -> list[Any]:
    """The outputs of `program`, every operation computed as `rule` says.

    Args:
        arrays: those of the program's inputs.
        inside: the rule inside of loops and branches, where arrays cannot be kept;
            None means that `rule` alone is asked, for the loop as one operation.
    """
    known: dict[Value, Any] = dict(zip(program.inputs, arrays, strict=True))
    for operation in program.operations:
        inputs = [_array(known, value) for value in operation.inputs]
        outputs = rule(operation, inputs)
        if outputs is None:
            follow = None if operation.operator else _CONTROL.get(operation.name)
            if inside is None or follow is None:
                outputs = operation.evaluate(*inputs)
            else:
                outputs = follow(operation, inputs, inside)
        known.update(zip(operation.outputs, outputs, strict=True))
    return [_array(known, value) for value in program.outputs]


def _array(known: dict[Value, Any], value: Value) -> Any:
    return known[value] if value in known else value.constant


def _scan(operation, inputs, rule):
    (body,) = operation.bodies
    options = operation.options
    # What is taken apart or stacked has one axis more outside.
    carried = sum(
        len(outside.shape) == len(inner.shape)
        for outside, inner in zip(operation.outputs, body.outputs, strict=True)
    )
    last = sum(
        len(outside.shape) == len(inner.shape)
        for outside, inner in zip(operation.inputs, body.inputs, strict=True)
    )
    constants, carry = inputs[: last - carried], inputs[last - carried : last]

    def step(carry, entries):
        outputs = run(body, [*constants, *carry, *entries], rule, rule)
        return outputs[:carried], outputs[carried:]

    carry, stacked = jax.lax.scan(
        step,
        list(carry),
        list(inputs[last:]),
        length=options["length"],
        reverse=options["reverse"],
    )
    return [*carry, *stacked]


def _while(operation, inputs, rule):
    options, (condition, body) = operation.options, operation.bodies
    first = options["cond_nconsts"]
    last = first + options["body_nconsts"]
    tested, constants = inputs[:first], inputs[first:last]
    return jax.lax.while_loop(
        lambda carry: run(condition, [*tested, *carry], rule, rule)[0],
        lambda carry: run(body, [*constants, *carry], rule, rule),
        list(inputs[last:]),
    )


def _cond(operation, inputs, rule):
    index, *operands = inputs
    branches = [
        lambda *operands, body=body: run(body, operands, rule, rule)
        for body in operation.bodies
    ]
    return jax.lax.switch(index, branches, *operands)


_CONTROL = {"scan": _scan, "while": _while, "cond": _cond}
