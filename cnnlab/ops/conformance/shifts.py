"""The law of pools that commute with circular shifts, exactly."""

import itertools

import jax.numpy as jnp
import numpy as np

from cnnlab.ops.conformance.cases import Case
from cnnlab.ops.conformance.law import equal, law, trait
from cnnlab.ops.conformance.subject import Trial

DIVIDED = Case((6, 4, 1), (2, 2), (2, 2), "SAME", "circular")
OTHERS = DIVIDED._replace(shape=(5, 3, 1)), DIVIDED._replace(shape=(6, 5, 1))
IMAGES = 8


def _on_the_torus(case):
    return case.boundary == "circular"


@law(DIVIDED, concerns=trait("shift_exact"), suits=_on_the_torus, drawn=False)
def shifts_are_exact(trial: Trial):
    """A circular shift of the map does not change the result by a bit.

    But for a circular shift of its own along axes that the strides divide. The maps are
    sparse and binary: many of their phases tie in every norm.
    """
    others = OTHERS if trial.case == DIVIDED else ()
    for case in (trial.case, *others):
        _assert_exact(trial.subject.trial(case))


def _assert_exact(trial):
    rank, shape = trial.case.rank, trial.case.shape
    axes, spatial = tuple(range(-rank - 1, -1)), shape[-rank - 1 : -1]
    maps = np.stack([_sparse(shape, seed) for seed in range(IMAGES)])
    shifts = list(itertools.product(*map(range, spatial)))
    rolled = np.stack([np.roll(maps, shift, axes) for shift in shifts])
    out = np.asarray(trial.run(jnp.asarray(rolled, jnp.float32)))
    sizes = zip(
        trial.shape[-rank - 1 : -1], trial.geometry.strides, spatial, strict=True
    )
    free = [range(n if n * stride == size else 1) for n, stride, size in sizes]
    for image, results in zip(maps, out.swapaxes(0, 1), strict=True):
        moved = itertools.product(*free)
        known = {np.roll(results[0], by, axes).tobytes() for by in moved}
        for shift, result in zip(shifts, results, strict=True):
            if result.tobytes() not in known:
                equal(result, results[0], f"after a shift by {shift}", x=image)


def _sparse(shape, seed):
    """A binary map with two or three pixels."""
    rng = np.random.default_rng(seed)
    x = np.zeros(shape, np.float32)
    x.reshape(-1)[rng.permutation(x.size)[: 2 + seed % 2]] = 1
    return x
