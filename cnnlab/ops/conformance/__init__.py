"""What every pool must satisfy, as a suite that can be run on any.

    from cnnlab.ops import conformance
    conformance.check("lp_pool(p=3.0)")
    conformance.check(my_pool, reference=my_slow_pool)

It needs hypothesis, which the extra `test` installs.
"""

from collections.abc import Callable, Iterable

# Laws are tried in the order in which these enter them.
from cnnlab.ops.conformance import (  # isort: skip
    values,  # noqa: F401
    selection,  # noqa: F401
    draws,  # noqa: F401
    calls,  # noqa: F401
    shifts,  # noqa: F401
    derivatives,  # noqa: F401
)
from cnnlab.ops.conformance.cases import PLAIN, Case, smallest
from cnnlab.ops.conformance.law import LAWS, BrokenLaw, Law, objection, suits, tried_on
from cnnlab.ops.conformance.subject import Subject, subject
from cnnlab.ops.pool_definition import Traits

__all__ = ["BrokenLaw", "check", "laws"]


def laws() -> dict[str, str]:
    """Every law's name and statement, in the order in which they are tried."""
    return {name: law.statement for name, law in LAWS.items()}


def check(
    pool: str | Callable,
    *,
    reference: Callable | None = None,
    traits: Traits | None = None,
    laws: Iterable[str] | None = None,
    examples: int = 8,
) -> None:
    """Returns if `pool` obeys every law that concerns it.

    Args:
        pool: a registered name, a spec, or any function `(x, window_shape, strides,
            padding, **options)`. Those with `boundary` are tried on every boundary in
            their attribute `boundaries` (all, if they have none); those with `key` also
            under fixed keys and many keys; those with `weights` (see
            `pool_definition.mapped`) at their initial values.
        reference: `(x, window_shape, strides, padding, **options)` in NumPy float64,
            called with the spec's options, and with `boundary` where that is not the
            pool's own.
        traits: what is claimed of the pool; None is its attribute `traits`, or the
            defaults of `Traits`.
        laws: names of the laws to try; None is all.
        examples: how many random windows the reference is compared on. They are the
            same at every call.

    Raises:
        BrokenLaw: names the first broken law, and shows the smallest window found that
            breaks it.
        ValueError: an unknown law.
        ImportError: hypothesis is not installed.
    """
    chosen = LAWS if laws is None else laws
    for name in chosen:
        if name not in LAWS:
            raise ValueError(f"unknown law {name!r}; choose from {', '.join(LAWS)}")
    examined = subject(pool, reference, traits, examples)
    plain = examined.trial(PLAIN)
    if plain.refusal is not None:
        raise BrokenLaw(next(iter(LAWS)), PLAIN, False, plain.refusal)
    for law in map(LAWS.get, chosen):
        if law.concerns(examined):
            _hold(law, examined)


def _hold(law: Law, examined: Subject) -> None:
    for drawn in (False, True) if law.drawn and examined.draws else (False,):

        def violation(case: Case, drawn: bool = drawn):
            return objection(law, examined.trial(case, drawn))

        for case in tried_on(law, examined):
            found = violation(case)
            if found is not None:
                smaller = smallest(
                    violation,
                    lambda case: suits(law, examined.trial(case)),
                    examined.boundaries,
                )
                case, found = smaller or (case, found)
                raise BrokenLaw(law.name, case, drawn, found)
