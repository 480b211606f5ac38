"""What a certificate says: of every value of a network, under which shifts it is exact.

A value M of the image x is compared with M' of the image moved by (dy, dx):

- *invariant*: M' is M;
- *equivariant*: M' is M moved by (dy, dx) / stride, where that is whole;
- *rolled*: M' is M moved by some number of entries, as shift-exact pools promise.
"""

import dataclasses

import numpy as np

from cnnlab.diagnostics.lattice.shift_sets import Shifts, describe


@dataclasses.dataclass(frozen=True, eq=False)
class Verdict:
    """Under which shifts one value of a program is exact.

    Attributes:
        name: of the operation that gives it, with the Flax modules it is called in.
        shape: of the value.
        strides: pixels from one entry to the next, down and right; None where the value
            has no axis that runs along the image's.
        invariant, equivariant, rolled: entry [dy, dx] is that shift's. A value without
            spatial axes is equivariant and rolled where it is invariant.
        to: 0 where every bit was compared, and no rounding had been folded away before.
            Else the largest difference, as a share of the value's largest entry, that
            passed for none.
        constant: whether it did not depend on the image in any trial. Then no shift
            can be told from another, and the sets are empty.
    """

    name: str
    shape: tuple[int, ...]
    strides: tuple[float | None, float | None]
    invariant: Shifts
    equivariant: Shifts
    rolled: Shifts
    to: float
    constant: bool

    @property
    def is_map(self) -> bool:
        """Whether it has an axis that runs along one of the image's."""
        return self.strides != (None, None)

    def __str__(self) -> str:
        if self.constant:
            return "constant: nothing to certify"
        kinds = {"invariant": self.invariant}
        if self.is_map:
            kinds |= {"equivariant": self.equivariant, "rolled": self.rolled}
        sets = "; ".join(f"{kind}: {describe(of)}" for kind, of in kinds.items())
        return f"{sets} (to {self.to:g})" if self.to else sets


@dataclasses.dataclass(frozen=True, eq=False)
class Certificate:
    """What `certify` found.

    Attributes:
        outputs: of the function's outputs that depend on the image.
        operations: of every operation's values, in order; empty in the quick form.
        dtype: in which the program ran.
        notes: what weakens the certificate, a line each: a ReLU that is on everywhere,
            a value that overflowed.
    """

    outputs: tuple[Verdict, ...]
    operations: tuple[Verdict, ...]
    dtype: str
    notes: tuple[str, ...]

    @property
    def output(self) -> Verdict:
        """Of the first output."""
        return self.outputs[0]

    @property
    def invariant(self) -> Shifts:
        """The shifts that leave every output as it is."""
        return np.logical_and.reduce([verdict.invariant for verdict in self.outputs])

    @property
    def equivariant(self) -> Shifts:
        """The shifts that move every output by their share of its stride."""
        return np.logical_and.reduce([verdict.equivariant for verdict in self.outputs])

    def __str__(self) -> str:
        lines = [f"{verdict.name}: {verdict}" for verdict in self.operations]
        lines += [f"output: {verdict}" for verdict in self.outputs]
        return "\n".join((*lines, *self.notes))
