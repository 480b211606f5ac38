"""Which operation takes each parameter to the image."""

from collections.abc import Collection, Iterable, Mapping

from cnnlab.diagnostics.operation import Operation, Program, Value
from cnnlab.diagnostics.propagation import Domain, propagate

_NONE: frozenset[int] = frozenset()


def parameters_of(
    program: Program, parameters: Collection[int], on_image: Collection[Value]
) -> Mapping[Value, frozenset[int]]:
    """For every value that has not met the image, the parameters it was made of.

    Args:
        parameters: which of the program's inputs they are; they are named so too.
        on_image: the values that depend on the image.
    """
    facts = [
        frozenset([index]) if index in parameters else _NONE
        for index in range(len(program.inputs))
    ]

    def apply(operation: Operation, facts: Iterable[frozenset[int]]):
        made = _NONE.union(*facts)
        return [_NONE if v in on_image else made for v in operation.outputs]

    domain = Domain(
        constant=_NONE,
        unknown=_NONE,
        apply=apply,
        join=frozenset.union,
        entry=lambda fact: fact,
        stacked=lambda fact: fact,
        selected=frozenset.union,
    )
    return propagate(program, facts, domain)
