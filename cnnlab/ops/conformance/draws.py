"""Laws of pools that draw: by what law, how often, and how independently."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.ops.conformance.cases import PLAIN, Case
from cnnlab.ops.conformance.law import equal, law, true
from cnnlab.ops.conformance.subject import Subject, Trial, compiled

# Two equal examples of two equal channels under overlapping windows.
OVERLAP = Case((2, 3, 3, 2), (2, 2), 1, "SAME")
DRAWS = 4096
# Of a normal variable, so rare that no healthy pool meets it.
SIGMAS = 6


def _draws_windows(subject: Subject) -> bool:
    return subject.draws and subject.traits.local


@law(
    OVERLAP,
    PLAIN,
    concerns=lambda subject: subject.draws,
    # Smaller windows may leave nothing to draw.
    suits=lambda case: False,
    drawn=False,
)
def a_key_is_one_draw(trial: Trial):
    """The same key gives the same draw, under vmap too; other keys give others."""
    x, keys = _map(trial), _keys()
    drawn = _drawn(trial)(x, keys)
    one = compiled(lambda x, key: trial.apply(x, key=key))
    for key, wanted in zip(keys[:3], drawn, strict=False):
        equal(one(x, key), wanted, "one key alone, against vmap over keys", rtol=1e-6)
    if trial.subject.traits.local:
        true(np.any(drawn != drawn[0]), f"{DRAWS} keys give one and the same draw")


@law(OVERLAP, PLAIN, concerns=_draws_windows, drawn=False)
def draws_average_to_the_expectation(trial: Trial):
    """The mean over many keys is the output without a key, within its error."""
    x = _map(trial)
    drawn = np.asarray(_drawn(trial)(x, _keys()), np.float64)
    error = SIGMAS * drawn.std(axis=0) / np.sqrt(DRAWS) + 1e-5
    got, wanted = drawn.mean(axis=0), np.asarray(trial.run(x))
    if np.any(np.abs(got - wanted) > error):
        equal(got, wanted, f"mean of {DRAWS} draws, within {error.max():.2g}", x=x)


@law(OVERLAP, PLAIN, concerns=_draws_windows, drawn=False)
def draws_are_independent(trial: Trial):
    """Draws in overlapping windows, channels and examples are not correlated."""
    drawn = np.asarray(_drawn(trial)(_map(trial), _keys()), np.float64)
    drawn = drawn.reshape(DRAWS, -1)
    drawn = drawn[:, drawn.std(axis=0) > 1e-6]
    if drawn.shape[1] < 2:
        return
    correlation = np.abs(np.corrcoef(drawn.T) - np.eye(drawn.shape[1]))
    bound = SIGMAS / np.sqrt(DRAWS)
    worst = f"two windows' draws have a correlation of {correlation.max():.2f}"
    true(correlation.max() < bound, f"{worst}; chance allows {bound:.2f}")


@law(OVERLAP, PLAIN, concerns=_draws_windows, drawn=False)
def padding_is_never_drawn(trial: Trial):
    """Where padding does not count in the expectation, no draw sees it either."""
    x = jnp.full(trial.case.shape, 2.0)
    expected = trial.run(x)
    if np.allclose(expected, 2):
        drawn = _drawn(trial)(x, _keys())
        equal(np.unique(drawn), np.unique(expected), "of a map of 2", rtol=1e-6)


def _drawn(trial):
    """Draws under many keys, compiled once for all laws."""
    known = trial.__dict__
    if "many" not in known:
        each = jax.vmap(lambda x, key: trial.apply(x, key=key), (None, 0))
        known["many"] = compiled(each)
    return known["many"]


def _keys():
    return jax.random.split(jax.random.key(0), DRAWS)


def _map(trial):
    """Positive entries and a few zeros, equal in all examples and channels."""
    shape, rank = trial.case.shape, trial.case.rank
    spatial = shape[len(shape) - rank - 1 : -1]
    values = np.random.default_rng(0).permutation(np.prod(spatial))
    one = np.maximum(values - 1, 0).reshape(spatial)[..., None] / 2
    return jnp.asarray(np.broadcast_to(one, shape), jnp.float32)
