"""Laws of pools that select: which entry wins, and that it alone takes the gradient."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.ops.conformance.law import equal, law, true
from cnnlab.ops.conformance.subject import Subject, Trial, compiled


def _selects_in_its_window(subject: Subject) -> bool:
    return subject.traits.selecting and subject.traits.local


@law(concerns=_selects_in_its_window, drawn=False)
def padding_never_wins(trial: Trial):
    """The output is an entry of the map: no padding wins, whatever the signs."""
    for x, out, _, _ in _selections(trial):
        held = _held(x, trial)
        found = ((held == out) & ~np.isnan(held)).any(axis=0)
        true(found.all(), _lines(x, out, "an entry of each window"))


@law(concerns=_selects_in_its_window, drawn=False)
def first_of_ties_takes_the_gradient(trial: Trial):
    """The first of equal entries, row-major, takes the whole gradient of its window."""
    for x, out, cotangent, gradient in _selections(trial):
        winners = (_held(x, trial) == out).argmax(axis=0)
        places = np.take_along_axis(trial.places(x.shape), winners[None], 0)[0]
        wanted = np.zeros(x.size)
        np.add.at(wanted, places.ravel(), cotangent.ravel())
        equal(gradient, wanted.reshape(x.shape), "gradient", x=x)


def _selections(trial):
    """Maps, what the pool makes of them, cotangents, and the maps' gradients."""

    def select(x, cotangent):
        out, pull = jax.vjp(trial.apply, x)
        return out, pull(cotangent)[0]

    # Compiled once for both laws.
    run = trial.__dict__.setdefault("select", compiled(select))
    rng = np.random.default_rng(0)
    cotangent = np.arange(1.0, np.prod(trial.shape) + 1, dtype=np.float32)
    cotangent = cotangent.reshape(trial.shape)
    for entries in (0, 1), (-2, -1, -np.inf), (1, 2, np.inf), (-np.inf,), (np.inf,):
        x = rng.choice(np.asarray(entries, np.float32), trial.case.shape)
        out, gradient = run(jnp.asarray(x), cotangent)
        yield x, np.asarray(out), cotangent, np.asarray(gradient)


def _held(x, trial):
    """The entries of every window, NaN on the padding."""
    places = trial.places(x.shape)
    return np.where(places < 0, np.nan, x.reshape(-1)[places])


def _lines(x, out, wanted):
    return f"map    {x.tolist()}\n  got    {out.tolist()}\n  wanted {wanted}"
