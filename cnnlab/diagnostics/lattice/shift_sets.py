"""Sets of circular shifts, in words."""

import numpy as np
from jaxtyping import Bool

Shifts = Bool[np.ndarray, "height width"]


def describe(shifts: Shifts) -> str:
    """What set of shifts that is: "all", "lattice 4x4", or how many of how many."""
    if not shifts.any():
        return "none"
    if shifts.all():
        return "all"
    if np.count_nonzero(shifts) == 1 and shifts[0, 0]:
        return "identity alone"
    steps = _step(shifts[:, 0]), _step(shifts[0])
    if all(steps) and np.array_equal(shifts, lattice(shifts.shape, *steps)):
        return f"lattice {steps[0]}x{steps[1]}"
    return f"irregular: {np.count_nonzero(shifts)} of {shifts.size}"


def is_closed(shifts: Shifts) -> bool:
    """Whether with any two shifts their sum is among them, on the torus."""
    if not describe(shifts).startswith("irregular"):
        return True
    return all(
        np.array_equal(np.roll(shifts, shift, (0, 1)), shifts)
        for shift in np.argwhere(shifts)
    )


def lattice(shape: tuple[int, int], rows: int, columns: int) -> Shifts:
    """The shifts by multiples of `rows` down and of `columns` to the right."""
    down, right = np.ogrid[: shape[0], : shape[1]]
    return (down % rows == 0) & (right % columns == 0)


def _step(along: Bool[np.ndarray, " places"]) -> int:
    """The divisor of an axis' size that its shifts may be multiples of, or 0."""
    step = int(np.flatnonzero(np.append(along[1:], True))[0]) + 1
    return step if along[0] and along.size % step == 0 else 0
