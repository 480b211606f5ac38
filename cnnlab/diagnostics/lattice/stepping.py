"""A program computed step by step, each kind of step compiled once.

Deep networks are made of few kinds of layers. Compiled apart, these serve every layer
of their kind, in every network: a program takes as long to compile as it has kinds of
steps, and none that another program had before.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnlab.diagnostics.lattice.arithmetic import compute
from cnnlab.diagnostics.lattice.copies import Copies
from cnnlab.diagnostics.operation import Operation, Value
from cnnlab.ops.quick_compilation import quickly_compiled

# Compiled steps that are kept.
_KINDS = 1024


def step(operation: Operation, inputs: Sequence[Any]) -> list[Any]:
    """The outputs of `operation` on copies, as of `arithmetic.compute`."""
    arrays = list(map(_array, inputs, operation.inputs))
    return _compiled(_Kind(operation))(arrays)


class _Kind:
    """An operation, equal to others of its kind."""

    def __init__(self, operation: Operation):
        self.operation = operation
        self._told = operation.kind, operation.unneeded

    def __eq__(self, other) -> bool:
        return self._told == other._told

    def __hash__(self) -> int:
        return hash(self._told)


@functools.lru_cache(_KINDS)
def _compiled(kind: _Kind) -> Callable:
    operation = kind.operation

    def computed(inputs):
        outputs = compute(operation, inputs)
        return list(operation.evaluate(*inputs) if outputs is None else outputs)

    return quickly_compiled(computed)


def _array(value: Any, described: Value) -> Any:
    """A number of the program as an array of its dtype; arrays as they are."""
    if isinstance(value, Copies) or hasattr(value, "aval"):
        return value
    return np.asarray(value, described.dtype)
