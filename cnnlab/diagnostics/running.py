"""A traced program, computed operation by operation."""

from collections.abc import Callable, Sequence
from typing import Any

from cnnlab.diagnostics.loops import branched, parts_of, repeated_while, scanned
from cnnlab.diagnostics.operation import Operation, Program, Value

# The arrays of an operation's outputs from those of its inputs; None: as it is.
Rule = Callable[[Operation, Sequence[Any]], Sequence[Any] | None]


def run(
    program: Program, arrays: Sequence[Any], rule: Rule, inside: Rule | None = None
) -> list[Any]:
    """The outputs of `program`, every operation computed as `rule` says.

    An array is kept no longer than operations need it.

    Args:
        arrays: those of the program's inputs.
        inside: the rule inside of loops and branches, where arrays cannot be kept;
            None means that `rule` alone is asked, for the loop as one operation.
    """
    known: dict[Value, Any] = dict(zip(program.inputs, arrays, strict=True))
    for operation, done in zip(program.operations, program.done, strict=True):
        inputs = [_array(known, value) for value in operation.inputs]
        outputs = rule(operation, inputs)
        if outputs is None:
            follow = None if operation.operator else _CONTROL.get(operation.name)
            if inside is None or follow is None:
                outputs = operation.evaluate(*inputs)
            else:
                outputs = follow(operation, inputs, inside)
        known.update(zip(operation.outputs, outputs, strict=True))
        for value in done:
            known.pop(value, None)
    return [_array(known, value) for value in program.outputs]


def _array(known: dict[Value, Any], value: Value) -> Any:
    return known[value] if value in known else value.constant


def _scan(operation, inputs, rule):
    (body,) = operation.bodies
    return scanned(
        operation.options,
        parts_of(operation),
        inputs,
        lambda inputs: run(body, inputs, rule, rule),
    )


def _while(operation, inputs, rule):
    return repeated_while(operation.options, inputs, _bodies(operation, rule))


def _cond(operation, inputs, rule):
    return branched(len(operation.bodies), inputs, _bodies(operation, rule))


def _bodies(operation, rule):
    return lambda number, inputs: run(operation.bodies[number], inputs, rule, rule)


_CONTROL = {"scan": _scan, "while": _while, "cond": _cond}
