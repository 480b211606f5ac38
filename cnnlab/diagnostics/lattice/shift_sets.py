"""Sets of circular shifts, in words."""

import numpy as np
from jaxtyping import Bool, Int

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


def divisor_shifts(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """By every divisor of a torus' sides: down, to the right, and both ways at once.

    Every lattice of multiples is made by some of them, and they are few.
    """
    down, right = ([d for d in range(1, side) if side % d == 0] for side in shape)
    ways = [(d, 0) for d in down] + [(0, d) for d in right]
    return ways + [(d, d) for d in sorted({*down} & {*right})]


def spanned(found: Shifts, tried: Shifts) -> Shifts:
    """The sums of shifts that were found exact, which are exact as well.

    That is so for functions of every image. What makes a sum that was tried, and not
    found, was found by chance, and is left out.
    """
    refuted = tried & ~found
    closed = lattice(found.shape, *found.shape)
    for shift in np.argwhere(found):
        more = _repeated(closed, shift)
        if not (more & refuted).any():
            closed = more
    return closed


def _repeated(shifts: Shifts, by: Int[np.ndarray, " two"]) -> Shifts:
    """These shifts, followed by any multiple of another."""
    together, turned = shifts, np.roll(shifts, by, (0, 1))
    while not turned[0, 0]:
        together, turned = together | turned, np.roll(turned, by, (0, 1))
    return together


def _step(along: Bool[np.ndarray, " places"]) -> int:
    """The divisor of an axis' size that its shifts may be multiples of, or 0."""
    step = int(np.flatnonzero(np.append(along[1:], True))[0]) + 1
    return step if along[0] and along.size % step == 0 else 0
