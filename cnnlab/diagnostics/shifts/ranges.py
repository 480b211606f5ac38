"""Evenly spaced displacements along one axis."""

import math
from typing import NamedTuple

from cnnlab.diagnostics.specs import plain


class Range(NamedTuple):
    """The displacements first, first + step, ... last; both ends belong to it."""

    first: float
    last: float
    step: float = 1

    @classmethod
    def parse(cls, text: str) -> "Range":
        """The range that is written `-3..3`, or `-1..1 by 0.25`.

        Raises:
            ValueError: it is written otherwise, runs backwards, or its step does not
                lead from the first to the last.
        """
        ends, _, step = text.partition(" by ")
        try:
            first, last = (_number(end) for end in ends.split(".."))
            found = cls(first, last, _number(step) if step else 1)
        except ValueError:
            raise ValueError(
                f"malformed range {text!r}; write FIRST..LAST, or FIRST..LAST by STEP"
            ) from None
        found.check()
        return found

    def check(self) -> None:
        """Refuses a range that runs backwards or misses its end.

        Raises:
            ValueError: it does.
        """
        if self.last < self.first:
            raise ValueError(f"range {self} is empty: its first is above its last")
        if not self.step > 0:
            raise ValueError(f"range {self}: the step must be above 0")
        steps = (self.last - self.first) / self.step
        if abs(steps - round(steps)) > 1e-9:
            raise ValueError(
                f"range {self}: steps of {self.step:g} do not lead from "
                f"{self.first:g} to {self.last:g}"
            )

    @property
    def how_many(self) -> int:
        """How many displacements it has."""
        return round((self.last - self.first) / self.step) + 1

    def values(self) -> list[float]:
        """The displacements in order, whole numbers as integers."""
        # Decimal steps would else leave 1e-17 where 0 is meant.
        points = (round(self.first + k * self.step, 12) for k in range(self.how_many))
        return [int(p) if float(p).is_integer() else p for p in points]

    def __str__(self) -> str:
        first, last, step = map(plain, self)
        return f"{first!r}..{last!r}" + ("" if step == 1 else f" by {step!r}")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not finite")
    return int(value) if value.is_integer() else value
