"""The windows that a pool is tried on: chosen ones, random ones, the smallest ones."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np


class Case(NamedTuple):
    """A map's shape and a window's path over it; boundary None is the pool's own."""

    shape: tuple[int, ...]
    window_shape: int | tuple[int, ...]
    strides: int | tuple[int, ...] = 1
    padding: str | int | tuple = "VALID"
    boundary: str | None = None

    def __str__(self) -> str:
        return ", ".join(f"{k} {v!r}" for k, v in zip(self._fields, self, strict=True))

    def arguments(self) -> tuple:
        """What follows the map in a call."""
        return self.window_shape, self.strides, self.padding

    def apply(self, pool: Callable, x: jax.Array, **options):
        """What `pool` gives of `x` along this path."""
        if self.boundary is not None:
            options["boundary"] = self.boundary
        return pool(x, *self.arguments(), **options)

    @property
    def rank(self) -> int:
        """How many spatial axes the window has."""
        return 2 if isinstance(self.window_shape, int) else len(self.window_shape)


# Every pool takes this one, whatever it restricts.
PLAIN = Case((2, 5, 4, 2), (3, 2), (2, 1))
# Overlap, padding, odd sizes.
PADDED = PLAIN._replace(padding="SAME")

CASES = (
    PLAIN,
    PADDED,
    Case((1, 7, 6, 3), (2, 2), (3, 4)),
    Case((1, 6, 5, 2), (3, 2), (2, 1), ((2, 0), (0, 1))),
    Case((4, 3, 2), (3, 3), (1, 2), "FULL"),
    Case((1, 5, 6, 1), 3, 2, ((1, 2), (2, 1)), "zero"),
    Case((1, 5, 6, 1), 3, 2, ((1, 2), (2, 1)), "circular"),
    Case((1, 5, 6, 1), 3, 2, ((1, 2), (2, 1)), "reflect"),
    Case((1, 5, 6, 1), 3, 2, ((1, 2), (2, 1)), "edge"),
    Case((2, 9, 3), (3,), (2,), 1),
    Case((2, 3, 4, 1), (2, 2, 2), (2, 1, 2), "SAME"),
    Case((1, 1, 1, 3), 3, 2, "SAME"),
    Case((1, 1, 1, 1), 3, 2, "SAME", "reflect"),
    Case((2, 1, 2, 4, 4, 1), 2, 2),
)


def smooth_map(
    shape: tuple[int, ...], seed: int = 0, *, low: float = 0.25, high: float = 4.0
) -> np.ndarray:
    """A float64 map from `low` to `high`, no two entries equal, in a random order."""
    values = np.linspace(low, high, math.prod(shape))
    return np.random.default_rng(seed).permutation(values).reshape(shape)


def signed_map(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """A float32 map with entries of both signs, exact zeros and ties."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return np.where(rng.random(shape) < 0.2, 0, np.round(x, 1)).astype(np.float32)


@functools.lru_cache(maxsize=64)
def random_cases(count: int, boundaries: tuple[str, ...]) -> tuple[Case, ...]:
    """`count` cases, the same ones at every call."""
    found = []
    _explore(lambda case: found.append(case), boundaries, count, shrink=False)
    return tuple(found)


def smallest(
    violation: Callable[[Case], Exception | None],
    suits: Callable[[Case], bool],
    boundaries: tuple[str, ...],
    *,
    attempts: int = 20,
) -> tuple[Case, Exception] | None:
    """The smallest suitable case found that `violation` objects to, and why."""
    tried = {}

    class Found(Exception):
        pass

    def attempt(case):
        if case not in tried:
            if not suits(case):
                return
            # Every new case is compiled; past the budget none counts as a failure.
            tried[case] = violation(case) if len(tried) < attempts else None
        if tried[case] is not None:
            raise Found(case)

    try:
        _explore(attempt, boundaries, 4 * attempts, shrink=True)
    except Found as found:
        (case,) = found.args
        return case, tried[case]
    return None


def _explore(visit, boundaries, count, *, shrink):
    hypothesis, strategies = _hypothesis()
    phases = [hypothesis.Phase.generate] + [hypothesis.Phase.shrink] * shrink

    @hypothesis.settings(
        max_examples=count,
        phases=phases,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
    )
    @hypothesis.given(strategies.data())
    def explore(data):
        # Drawn from coins alone: into integers hypothesis mixes the constants of the
        # loaded modules, which it keeps in files.
        coin = strategies.booleans()
        visit(_case(lambda: data.draw(coin), boundaries))

    explore()


def _case(coin: Callable[[], bool], boundaries: tuple[str, ...]) -> Case:
    """A case whose every window touches the map; all coins False give the smallest."""

    def below(count):
        bits = (count - 1).bit_length()
        return sum(coin() << bit for bit in reversed(range(bits))) % count

    def per_axis(draw):
        return tuple(draw() for _ in range(rank))

    rank = (2, 1, 3)[below(3)]
    most = 6 if rank < 3 else 4
    window_shape = per_axis(lambda: 1 + below(3))
    strides = per_axis(lambda: 1 + below(4))
    padding = ("VALID", "SAME", "FULL", None)[below(4)]
    if padding is None:
        padding = tuple((below(w), below(w)) for w in window_shape)
    boundary = (None, *boundaries)[below(len(boundaries) + 1)]
    spatial = per_axis(lambda: 1 + below(most))
    if padding != "SAME" and padding != "FULL":
        margins = [(0, 0)] * rank if padding == "VALID" else padding
        spatial = tuple(
            max(n, w - sum(margin))
            for n, w, margin in zip(spatial, window_shape, margins, strict=True)
        )
    batch = ((), (2,))[below(2)]
    return Case(
        (*batch, *spatial, 1 + below(2)), window_shape, strides, padding, boundary
    )


def _hypothesis():
    try:
        import hypothesis
        from hypothesis import strategies
    except ImportError:
        raise ImportError(
            "conformance.check needs hypothesis: pip install 'cnnlab[test]'"
        ) from None
    return hypothesis, strategies
