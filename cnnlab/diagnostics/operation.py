"""What a program is made of: values, operations, and programs inside of operations."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """One array of a program, told from others by identity.

    Attributes:
        constant: the array itself, where the program holds it.
    """

    shape: tuple[int, ...]
    dtype: Any
    constant: Any = None

    @property
    def size(self) -> int:
        """How many entries it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes it takes; 0 for what is no array."""
        return self.size * getattr(self.dtype, "itemsize", 0)


@dataclasses.dataclass(frozen=True, eq=False)
class Operation:
    """One step of a program.

    Attributes:
        name: the operator's, such as "max_pool", or the primitive's.
        options: what the operator was called with, or the primitive's parameters.
        path: the Flax modules it is called in, such as ("ResNet", "Conv_0").
        operator: whether it is one of cnnlab's.
        group: the call that it is a part of, if that does elementwise work alone, such
            as "relu".
        opaque: whether it runs a program of its own that cannot be read.
        unneeded: the positions of its outputs that no result of the program needs.
        opened: makes `bodies`, leaving out what only the unneeded outputs need.
        evaluate: the arrays of its outputs, from those of its inputs.
        kind: equal where operations are the same but for their values and `path`.
    """

    name: str
    options: Mapping[str, Any]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    path: tuple[str, ...]
    operator: bool = False
    group: str | None = None
    opaque: bool = False
    unneeded: frozenset[int] = frozenset()
    opened: Callable[[frozenset[int]], tuple["Program", ...]] = lambda unneeded: ()
    evaluate: Callable[..., Sequence[Any]] | None = None
    kind: Hashable = None

    @functools.cached_property
    def bodies(self) -> tuple["Program", ...]:
        """The programs inside: an operator's, a loop's, each branch's."""
        return self.opened(self.unneeded)


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """Operations in order; values that none of them gives are inputs or constants."""

    inputs: tuple[Value, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[Value, ...]

    @functools.cached_property
    def done(self) -> tuple[frozenset[Value], ...]:
        """For each operation the values that nothing after it needs."""
        needed, done = set(self.outputs), []
        for operation in reversed(self.operations):
            here = {*operation.inputs, *operation.outputs}
            done.append(frozenset(here - needed))
            needed |= here
        return tuple(reversed(done))

    def steps(
        self, weight: Callable[["Program"], int] = lambda body: len(body.operations)
    ) -> Iterator["Step"]:
        """Every operation that runs, those of loops and branches in their place.

        Args:
            weight: of branches, the heaviest is taken.
        """
        for operation in self.operations:
            if operation.operator or not operation.bodies:
                yield Step(operation, 1, not operation.opaque)
                continue
            bodies, known = operation.bodies, operation.name != "while"
            if operation.name == "cond":
                bodies = (max(bodies, key=weight),)
            times = operation.options["length"] if operation.name == "scan" else 1
            for step in itertools.chain(*(body.steps(weight) for body in bodies)):
                counted = step.counted and known
                yield Step(step.operation, step.times * times, counted)


@dataclasses.dataclass(frozen=True)
class Step:
    """An operation and how often it runs.

    `counted` is False where that is not known: inside a loop that decides itself when
    it ends, `times` is for one trip of it; nor is it known inside an opaque operation.
    """

    operation: Operation
    times: int
    counted: bool
