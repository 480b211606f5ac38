"""What a law is, the table of them, and how one is found broken."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cnnlab.ops.conformance.cases import PADDED, PLAIN, Case
from cnnlab.ops.conformance.subject import Subject, Trial

LAWS: dict[str, "Law"] = {}


class Law(NamedTuple):
    """A statement about pools.

    Attributes:
        holds: raises where a trial breaks the law.
        concerns: whether the law says anything about a pool.
        cases: where it is tried: on the first of these that the pool takes, or, where
            None, on every case.
        suits: whether it says anything of a case; asked while a smaller one is sought.
        drawn: whether draws under a fixed key obey it too.
    """

    name: str
    statement: str
    holds: Callable[[Trial], None]
    concerns: Callable[[Subject], bool]
    cases: tuple[Case, ...] | None
    suits: Callable[[Case], bool]
    drawn: bool


class BrokenLaw(AssertionError):
    """A pool that breaks a law; the message begins with the law's name."""

    def __init__(self, law: str, case: Case, drawn: bool, objection: Exception):
        super().__init__(
            f"{law}: {LAWS[law].statement}\n"
            f"broken on {case}{' under a fixed key' if drawn else ''}\n{objection}"
        )
        self.law, self.case = law, case


class Violation(AssertionError):
    """What was got and what was wanted."""


def law(
    *cases: Case,
    concerns: Callable[[Subject], bool] = lambda subject: True,
    suits: Callable[[Case], bool] = lambda case: True,
    every: bool = False,
    drawn: bool = True,
) -> Callable:
    """Enters a function of a trial in the table; see `Law`."""

    def enter(holds):
        name, statement = holds.__name__, holds.__doc__.split("\n")[0]
        chosen = None if every else cases or (PADDED, PLAIN)
        LAWS[name] = Law(name, statement, holds, concerns, chosen, suits, drawn)
        return holds

    return enter


def trait(name: str) -> Callable[[Subject], bool]:
    """Whether a pool claims a trait."""
    return lambda subject: getattr(subject.traits, name)


def equal(got, wanted, what: str = "", *, x=None, rtol: float = 0.0, atol: float = 0.0):
    """Raises a Violation unless `got` is `wanted` (NaN where it is NaN)."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    if got.shape == wanted.shape and np.allclose(
        got, wanted, rtol, atol, equal_nan=True
    ):
        return
    lines = [f"  {what}"] if what else []
    if x is not None:
        lines.append(f"  map    {_shown(x)}")
    lines += [f"  got    {_shown(got)}", f"  wanted {_shown(wanted)}"]
    raise Violation("\n".join(lines))


def true(condition, what: str):
    """Raises a Violation that says `what` unless the condition holds."""
    if not condition:
        raise Violation(f"  {what}")


def objection(law: Law, trial: Trial) -> Exception | None:
    """What speaks against the law on this trial."""
    try:
        law.holds(trial)
    except Violation as violation:
        return violation
    except Exception as error:
        return Violation(f"  raised {type(error).__name__}: {error}")
    return None


def suits(law: Law, trial: Trial) -> bool:
    """Whether the law has anything to say of this trial."""
    taken = law.cases is None or trial.refusal is None
    return taken and law.suits(trial.case)


def tried_on(law: Law, subject: Subject) -> tuple[Case, ...]:
    """The cases that the law is tried on."""
    if law.cases is None:
        return subject.cases
    taken = (case for case in law.cases if subject.trial(case).refusal is None)
    return tuple(itertools.islice(taken, 1))


def _shown(array) -> str:
    number = {"float": "{:.6g}".format}
    text = np.array2string(np.asarray(array), 10**6, threshold=60, formatter=number)
    return " ".join(text.split())
