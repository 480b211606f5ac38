"""A pool under examination, and its calls, compiled once for all laws."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.ops import windows
from cnnlab.ops.conformance.cases import CASES, Case, random_cases, signed_map
from cnnlab.ops.pool_definition import Traits, pools, weights_of
from cnnlab.ops.quick_compilation import quickly_compiled
from cnnlab.ops.registry import takes, unwrapped


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A pool, and what is claimed of it.

    Attributes:
        pool: `(x, window_shape, strides, padding, **options) -> map`.
        reference: the same in NumPy float64, or None.
        traits: the claims.
        examples: how many random windows it is tried on beside the chosen ones.
    """

    pool: Callable
    reference: Callable | None
    traits: Traits
    examples: int

    @functools.cached_property
    def options(self) -> dict:
        """The options that the pool's spec binds."""
        return unwrapped(self.pool)[1]

    @functools.cached_property
    def boundaries(self) -> tuple[str, ...]:
        """The boundaries that the pool can be asked for, its own first if known."""
        function, bound = unwrapped(self.pool)
        if "boundary" in bound or not takes(function, "boundary"):
            return ()
        return getattr(function, "boundaries", tuple(windows.BOUNDARIES))

    @functools.cached_property
    def draws(self) -> bool:
        """Whether the pool takes a key."""
        function, bound = unwrapped(self.pool)
        return "key" not in bound and takes(function, "key")

    @functools.cached_property
    def cases(self) -> tuple[Case, ...]:
        """The chosen and the random cases on the pool's boundaries."""
        others = self.boundaries[1:]
        known = [case for case in CASES if case.boundary in (None, *others)]
        more = random_cases(self.examples, others) if self.examples else ()
        return tuple(dict.fromkeys((*known, *more)))

    @functools.cached_property
    def outputs(self) -> dict[Case, jax.Array]:
        """The pooled `signed_map` of every case that the pool takes."""
        taken = [case for case in self.cases if self.trial(case).refusal is None]

        def every(maps):
            return [c.apply(self.pool, x) for c, x in zip(taken, maps, strict=True)]

        # One compilation of many small maps costs half of many small compilations.
        maps = [signed_map(case.shape) for case in taken]
        return dict(zip(taken, compiled(every)(maps), strict=True))

    @functools.cache  # noqa: B019 (a subject lives for one check)
    def trial(self, case: Case, drawn: bool = False) -> "Trial":
        """The pool along the path of `case`, under a fixed key if `drawn`."""
        return Trial(self, case, drawn)


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """A pool along one path: a function of the map (and learned weights) alone."""

    subject: Subject
    case: Case
    drawn: bool

    def apply(self, x: jax.Array, **weights) -> jax.Array:
        """The pooled map, not compiled."""
        if self.drawn:
            # Its draws compile three times as fast as the default generator's.
            weights["key"] = jax.random.key(3, impl="rbg")
        return self.case.apply(self.subject.pool, x, **weights)

    @functools.cached_property
    def run(self) -> Callable:
        """`apply`, compiled."""
        return compiled(self.apply)

    @functools.cached_property
    def refusal(self) -> ValueError | None:
        """What the pool says against this path, if anything."""
        try:
            _ = self.shape
        except ValueError as error:
            return error
        return None

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of the pooled map."""
        x = jax.ShapeDtypeStruct(self.case.shape, jnp.float32)
        return jax.eval_shape(self.apply, x).shape

    @functools.cached_property
    def geometry(self) -> windows.Geometry:
        """The window's path, checked."""
        case, rank = self.case, self.case.rank
        spatial = case.shape[len(case.shape) - rank - 1 : -1]
        return windows.geometry(spatial, *case.arguments(), case.boundary or "zero")

    def places(self, shape: tuple[int, ...]) -> np.ndarray:
        """`[taps, *output]`: where every window's entries lie, -1 off the map."""
        places = jnp.arange(np.prod(shape)).reshape(shape)
        return np.stack(windows.taps(places, self.geometry, -1).values)

    def weights(self, dtype) -> dict[str, jax.Array]:
        """The initial values of the pool's learned weights."""
        values = weights_of(
            self.subject.pool, self.geometry.window_shape, self.case.shape[-1]
        )
        return {name: jnp.asarray(value, dtype) for name, value in values.items()}


def compiled(function: Callable) -> Callable:
    """`function` under `jax.jit`, rounding wherever the program says so.

    The maps are tiny: compiling takes all the time.
    """
    return quickly_compiled(function, excess_precision=False)


def subject(
    pool: str | Callable,
    reference: Callable | None,
    traits: Traits | None,
    examples: int,
) -> Subject:
    """The `Subject` of a spec or a callable."""
    pool = pools.resolve(pool)
    if traits is None:
        traits = getattr(unwrapped(pool)[0], "traits", Traits())
    return Subject(pool, reference, traits, examples)


def stacked(*maps: np.ndarray) -> jax.Array:
    """Maps as a float32 batch."""
    return jnp.asarray(np.stack(maps), jnp.float32)
