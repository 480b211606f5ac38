"""How many bytes a program's values take while it runs, and what training keeps."""

import operator
from collections.abc import Callable, Collection, Iterator, Sequence

import jax

from cnnlab.diagnostics.operation import Operation, Program, Value
from cnnlab.diagnostics.program import trace
from cnnlab.diagnostics.propagation import Domain, propagate

# They give their operand another shape, and copy nothing where it has as many entries.
_VIEWS = {"broadcast_in_dim", "expand_dims", "reshape", "squeeze"}


def peak_bytes(program: Program, counted: Collection[Value]) -> int:
    """The most bytes that `counted` values take at once, in program order.

    A value lives from the operation that makes it to the last one that reads it, a
    result to the end. Inputs are not counted, nor what an operator needs inside.
    """
    owner = _same_arrays(program)
    last_read = {}
    for index, operation in enumerate(program.operations):
        for value in operation.inputs:
            last_read[owner.get(value, value)] = index
    kept = {owner.get(value, value) for value in program.outputs}
    live = peak = 0
    alive = set()
    for index, operation in enumerate(program.operations):
        made = {v for v in operation.outputs if v in counted and v not in owner}
        alive |= made
        live += sum(value.nbytes for value in made)
        inside = 0
        if not operation.operator:
            inside = max(
                (peak_bytes(body, counted) for body in operation.bodies), default=0
            )
        peak = max(peak, live + inside)
        over = {v for v in alive if last_read.get(v, index) <= index and v not in kept}
        alive -= over
        live -= sum(value.nbytes for value in over)
    return peak


def kept_bytes(
    function: Callable, args: Sequence, image: int, by: Sequence[int]
) -> int:
    """The bytes that JAX keeps for the backward pass of `function`, but for its inputs.

    They are the arrays in the function that `jax.vjp` returns, each counted once.

    Args:
        image: which leaf of `args` it is; what does not depend on it is not counted.
        by: which leaves the derivative is taken by.
    """
    leaves, structure = jax.tree.flatten(args)

    def kept(leaves):
        def of_chosen(chosen):
            given = list(leaves)
            for index, leaf in zip(by, chosen, strict=True):
                given[index] = leaf
            return function(*jax.tree.unflatten(structure, given))

        return jax.vjp(of_chosen, [leaves[index] for index in by])[1]

    program = trace(kept, leaves)
    facts = [index == image for index in range(len(leaves))]
    on_image = propagate(program, facts, _REACHED)
    made = {v for operation in program.operations for v in operation.outputs}
    same = _same_arrays(program)
    found = {same.get(value, value) for value in program.outputs} & made
    return sum(value.nbytes for value in found if on_image[value])


# Whether a value depends on given ones.
_REACHED: Domain[bool] = Domain(
    constant=False,
    unknown=True,
    apply=lambda operation, facts: [any(facts)] * len(operation.outputs),
    join=operator.or_,
    entry=bool,
    stacked=bool,
    selected=operator.or_,
)


def _same_arrays(program: Program) -> dict[Value, Value]:
    """Of values that hold what an earlier one does, in another shape, the earliest."""
    same: dict[Value, Value] = {}
    for operation in program.operations:
        for later, earlier in _repeated(operation):
            same[later] = same.get(earlier, earlier)
    return same


def _repeated(operation: Operation) -> Iterator[tuple[Value, Value]]:
    """The results that hold what an operand does, or a result before them."""
    if operation.name in _VIEWS:
        (result,) = operation.outputs
        if result.nbytes == operation.inputs[0].nbytes:
            yield result, operation.inputs[0]
    elif operation.operator or operation.name == "scan":
        (body,) = operation.bodies
        same = _same_arrays(body)
        # Of a loop, what is stacked alone: what is carried changes.
        more = operation.name == "scan"
        first = {
            inside: outside
            for outside, inside in zip(operation.inputs, body.inputs, strict=True)
            if len(outside.shape) == len(inside.shape) + more
        }
        for outside, inside in zip(operation.outputs, body.outputs, strict=True):
            if len(outside.shape) == len(inside.shape) + more:
                earlier = first.setdefault(same.get(inside, inside), outside)
                if earlier is not outside:
                    yield outside, earlier
