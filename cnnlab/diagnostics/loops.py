"""What a loop's values are to it, and loops and branches computed in another way.

JAX's own counts of a scan's values have other names in other versions, so they are read
from the ranks: what is taken apart or stacked has one axis more outside than inside.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from cnnlab.diagnostics.operation import Operation

# The outputs of a body, by its number, from its inputs.
Bodies = Callable[[int, Sequence[Any]], Sequence[Any]]


class ScanParts(NamedTuple):
    """How many of a scan's values are which.

    Attributes:
        constants: leading inputs that every trip sees.
        carry: inputs after these, and leading outputs, that one trip hands to the next.
    """

    constants: int
    carry: int

    def of_inputs(self, values: Sequence[Any]) -> tuple[list, list, list]:
        """The constants, the carry, and what is taken apart."""
        last = self.constants + self.carry
        return (
            list(values[: self.constants]),
            list(values[self.constants : last]),
            list(values[last:]),
        )

    def of_outputs(self, values: Sequence[Any]) -> tuple[list, list]:
        """The carry, and what is stacked."""
        return list(values[: self.carry]), list(values[self.carry :])


def scan_parts(
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    body_inputs: Sequence[Any],
    body_outputs: Sequence[Any],
) -> ScanParts:
    """The parts of a scan, given what has the shapes of its values and its body's."""
    carry = _of_equal_rank(outputs, body_outputs)
    return ScanParts(_of_equal_rank(inputs, body_inputs) - carry, carry)


def parts_of(operation: Operation) -> ScanParts:
    """The parts of a traced scan."""
    (body,) = operation.bodies
    return scan_parts(operation.inputs, operation.outputs, body.inputs, body.outputs)


def while_parts(
    options: Mapping[str, Any], inputs: Sequence[Any]
) -> tuple[list, list, list]:
    """What a while loop's condition sees besides, what its body does, and the carry."""
    first = options["cond_nconsts"]
    last = first + options["body_nconsts"]
    return list(inputs[:first]), list(inputs[first:last]), list(inputs[last:])


def scanned(
    options: Mapping[str, Any],
    parts: ScanParts,
    inputs: Sequence[Any],
    body: Callable[[Sequence[Any]], Sequence[Any]],
) -> list[Any]:
    """The outputs of a scan whose body is computed by `body`; values may be trees."""
    constants, carry, entries = parts.of_inputs(inputs)
    carry, stacked = jax.lax.scan(
        lambda carry, entries: parts.of_outputs(body([*constants, *carry, *entries])),
        carry,
        entries,
        length=options["length"],
        reverse=options["reverse"],
        unroll=options["unroll"],
    )
    return [*carry, *stacked]


def repeated_while(
    options: Mapping[str, Any], inputs: Sequence[Any], bodies: Bodies
) -> list[Any]:
    """The outputs of a while loop: body 0 is the condition, 1 what it repeats."""
    tested, constants, carry = while_parts(options, inputs)
    return jax.lax.while_loop(
        lambda carry: bodies(0, [*tested, *carry])[0],
        lambda carry: list(bodies(1, [*constants, *carry])),
        carry,
    )


def branched(count: int, inputs: Sequence[Any], bodies: Bodies) -> list[Any]:
    """The outputs of the one of `count` branches that the first input chooses."""
    index, *operands = inputs
    branches = [
        lambda *operands, number=number: list(bodies(number, operands))
        for number in range(count)
    ]
    return jax.lax.switch(index, branches, *operands)


def _of_equal_rank(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    pairs = zip(outside, inside, strict=True)
    return sum(len(one.shape) == len(other.shape) for one, other in pairs)
