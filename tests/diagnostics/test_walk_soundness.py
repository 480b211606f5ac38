"""What the walk claims without computing, the certificate finds by computing.

Claims are those of `geometry.walk` for exact arithmetic; the certificate runs the same
program on integers, where arithmetic is exact. So a claim it refutes is wrong.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lattice_nets import halving, image, parameters, two_levels

from cnnlab.diagnostics.geometry import walk
from cnnlab.diagnostics.lattice import certify
from cnnlab.diagnostics.lattice.shift_sets import lattice
from cnnlab.models import create_model
from cnnlab.ops import pools
from cnnlab.ops.windows import BOUNDARIES

SIDE = 8
# Their sums are exact on small integers; the others have roots and exponentials.
EXACT = {
    *("max_pool", "min_pool", "avg_pool", "blur_pool", "max_blur_pool"),
    *("avg_blur_pool", "median_pool", "fractional_max_pool"),
    *("adaptive_polyphase", "learned_polyphase"),
}


def refuted(row, verdict, shape):
    """How many of the row's claims the verdict refutes, of each kind."""
    assert not verdict.constant, row.name
    claimed = lattice(shape, *row.shifts)
    kind = verdict.invariant if row.axes == (None, None) else verdict.equivariant
    claimed_up_to_roll = lattice(shape, *row.shifts_up_to_roll)
    return (
        np.count_nonzero(claimed & ~kind),
        np.count_nonzero(claimed_up_to_roll & ~verdict.rolled),
    )


def assert_sound(function, *arguments, **options):
    shape = arguments[-1].shape[1:3]
    rows = walk(function, *arguments).outputs
    certificate = certify(function, *arguments, per_layer=False, **options)
    for row, verdict in zip(rows, certificate.outputs, strict=True):
        assert refuted(row, verdict, shape) == (0, 0), (row, str(verdict))
    return certificate


def nets(parameters, x, *, names, boundary):
    """Of two-level nets with each of these pools the last map, and its mean."""
    results = {}
    for name in names:
        pool = halving(name, boundary)
        net = functools.partial(two_levels, pool=pool, boundary=boundary)
        y = net(parameters, x, head=lambda x, axis: x)
        results[name] = y, y.mean((1, 2))
    return results


def of_boundary(boundary, exact):
    return [
        name
        for name in pools
        if boundary in pools[name].boundaries and (name in EXACT) == exact
    ]


@pytest.mark.parametrize(
    "boundary, names",
    [("circular", ["adaptive_polyphase"]), ("zero", ["avg_pool"])],
)
def test_no_claim_about_a_pool_is_refuted(boundary, names):
    function = functools.partial(nets, names=names, boundary=boundary)
    assert_sound(function, parameters(), image(SIDE))


# Those that need float64 take long, and pad as the others do.
@pytest.mark.slow
@pytest.mark.parametrize(
    "boundary, exact",
    [*((boundary, True) for boundary in BOUNDARIES), ("circular", False)],
)
def test_no_claim_about_any_pool_is_refuted(boundary, exact):
    names = of_boundary(boundary, exact)
    function = functools.partial(nets, names=names, boundary=boundary)
    dtype = "float32" if exact else "float64"
    assert_sound(function, parameters(), image(SIDE), dtype=dtype)


# Those of which more is claimed are judged with `experiments.model_lattice`.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "all_cnn_c"])
def test_a_model_of_which_nothing_is_claimed_has_nothing(name):
    model = create_model(name, 10, boundary="circular")
    x = jax.ShapeDtypeStruct((1, 16, 16, model.image_shape[-1]), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    certificate = assert_sound(model.apply, variables, x)
    assert np.count_nonzero(certificate.invariant) == 1
