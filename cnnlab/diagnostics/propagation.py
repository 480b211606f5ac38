"""What is known of a program's inputs, carried through to every value."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from cnnlab.diagnostics.loops import parts_of, while_parts
from cnnlab.diagnostics.operation import Operation, Program, Value

Fact = TypeVar("Fact")

# A `while` loop runs nobody knows how often: what still changes after so many trips is
# given up.
_TRIPS_TRIED = 3


class Domain(NamedTuple, Generic[Fact]):
    """What can be known of a value, and how it follows from what was known before.

    Attributes:
        constant: what is known of constants.
        unknown: what is known where nothing is.
        apply: the facts of an operation's outputs, from those of its inputs.
        join: what holds of a value that is the one or the other.
        entry: what is known of the entries along the first axis of a value.
        stacked: what is known of a value that is stacked of such entries.
        selected: what is known of a value that was chosen by another one.
    """

    constant: Fact
    unknown: Fact
    apply: Callable[[Operation, Sequence[Fact]], Sequence[Fact]]
    join: Callable[[Fact, Fact], Fact]
    entry: Callable[[Fact], Fact]
    stacked: Callable[[Fact], Fact]
    selected: Callable[[Fact, Fact], Fact]


def propagate(
    program: Program, facts: Sequence[Fact], domain: Domain[Fact]
) -> dict[Value, Fact]:
    """What is known of every value of `program`, given `facts` of its inputs.

    A loop is followed as often as it runs, or until nothing changes; of the values
    inside, what holds in the last trip is kept.
    """
    known: dict[Value, Fact] = {}
    _run(program, facts, domain, known)
    return known


def results(
    program: Program, facts: Sequence[Fact], domain: Domain[Fact]
) -> list[Fact]:
    """What is known of the outputs of `program`."""
    return _run(program, facts, domain, {})


def _run(program, facts, domain, known) -> list:
    known.update(zip(program.inputs, facts, strict=True))
    for operation in program.operations:
        inputs = [known.get(value, domain.constant) for value in operation.inputs]
        follow = _CONTROL.get(operation.name)
        if follow is None or operation.operator:
            outputs = domain.apply(operation, inputs)
        else:
            outputs = follow(operation, inputs, domain, known)
        known.update(zip(operation.outputs, outputs, strict=True))
    return [known.get(value, domain.constant) for value in program.outputs]


def _scan(operation, inputs, domain, known):
    (body,) = operation.bodies
    parts = parts_of(operation)
    constants, carry, entries = parts.of_inputs(inputs)
    entries = [domain.entry(fact) for fact in entries]
    stacked = None
    for _ in range(operation.options["length"]):
        before = carry
        out = _run(body, [*constants, *carry, *entries], domain, known)
        carry, last = parts.of_outputs(out)
        new = list(map(domain.stacked, last))
        stacked = new if stacked is None else list(map(domain.join, stacked, new))
        if carry == before:
            break
    if stacked is None:
        stacked = [domain.constant] * (len(operation.outputs) - len(carry))
    return [*carry, *stacked]


def _while(operation, inputs, domain, known):
    options, (condition, body) = operation.options, operation.bodies
    tested, constants, carry = while_parts(options, inputs)
    for trip in range(2 * _TRIPS_TRIED):
        before = carry
        out = _run(body, [*constants, *carry], domain, known)
        carry = list(map(domain.join, carry, out))
        if carry == before:
            break
        if trip >= _TRIPS_TRIED:
            carry = [
                now if now == then else domain.unknown
                for now, then in zip(carry, before, strict=True)
            ]
    (test,) = _run(condition, [*tested, *carry], domain, known)
    return [domain.selected(fact, test) for fact in carry]


def _cond(operation, inputs, domain, known):
    index, *operands = inputs
    branches = (_run(body, operands, domain, known) for body in operation.bodies)
    outputs = next(branches)
    for other in branches:
        outputs = list(map(domain.join, outputs, other))
    return [domain.selected(fact, index) for fact in outputs]


_CONTROL = {"scan": _scan, "while": _while, "cond": _cond}
