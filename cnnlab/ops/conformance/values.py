"""Laws of the values: shape, reference, constants, large entries, NaN."""

import jax.numpy as jnp
import numpy as np

from cnnlab.ops.conformance.cases import PLAIN, signed_map
from cnnlab.ops.conformance.law import equal, law, trait, true
from cnnlab.ops.conformance.subject import Trial
from cnnlab.ops.registry import takes


def _unpadded(case):
    return case.padding == "VALID"


@law(every=True, drawn=False)
def takes_every_window(trial: Trial):
    """The output's shape is the geometry's, and no window that fits is refused.

    A pool that is not local may refuse some with a ValueError, but none without padding
    on its own boundary.
    """
    if trial.refusal is not None:
        plain = trial.case.padding == "VALID" and trial.case.boundary is None
        strict = trial.subject.traits.local or (plain and trial.case.rank == 2)
        true(not strict, f"refused: {trial.refusal}")
        return
    leading = len(trial.case.shape) - trial.case.rank - 1
    batch, channels = trial.case.shape[:leading], trial.case.shape[-1]
    wanted = (*batch, *trial.geometry.output_shape, channels)
    if trial.subject.traits.local:
        true(trial.shape == wanted, f"got shape {trial.shape}, wanted {wanted}")


@law(every=True, drawn=False, concerns=lambda subject: subject.reference is not None)
def equals_the_reference(trial: Trial):
    """The output equals the slow reference, on chosen and random windows."""
    subject, case = trial.subject, trial.case
    if trial.refusal is not None:
        return
    options = dict(subject.options)
    if case.boundary is not None:
        if not takes(subject.reference, "boundary"):
            return
        options["boundary"] = case.boundary
    x = signed_map(case.shape)
    wanted = subject.reference(x.astype(np.float64), *case.arguments(), **options)
    known = subject.outputs if case in subject.cases else {case: trial.run(x)}
    equal(known[case], wanted, x=x, rtol=2e-5, atol=1e-6)


@law(PLAIN, concerns=trait("averaging"), suits=_unpadded)
def constants_are_fixed(trial: Trial):
    """A constant map, not padded, gives that constant."""
    out = trial.run(jnp.full((2, *trial.case.shape), 0.7, jnp.float32))
    equal(out, np.full(out.shape, 0.7), "of a map of 0.7", rtol=1e-6, atol=1e-6)


@law(PLAIN, concerns=trait("averaging"))
def large_entries_do_not_overflow(trial: Trial):
    """A mean of entries of size 1e30 is finite, and no larger than they are."""
    x = 1e30 * np.sign(signed_map((2, *trial.case.shape)))
    out = np.asarray(trial.run(jnp.asarray(x, jnp.float32)))
    true(np.all(np.abs(out) <= 1.001e30), f"got {out.min()} to {out.max()}")


@law(concerns=trait("local"))
def nan_is_visible_where_it_is_seen(trial: Trial):
    """NaN is in the output of every window that holds one, and in no other."""
    x = signed_map((2, *trial.case.shape))
    x.reshape(-1)[[0, (x.size // 2 + 3) % x.size]] = np.nan
    places = trial.places(x.shape)
    seen = (np.isnan(x.reshape(-1)[places]) & (places >= 0)).any(axis=0)
    got = np.isnan(trial.run(jnp.asarray(x)))
    if not trial.subject.traits.channelwise:
        # One channel's NaN may show in the others, at the same place.
        got = got & (seen | ~seen.any(axis=-1, keepdims=True))
    equal(got, seen, "whether NaN", x=x)
