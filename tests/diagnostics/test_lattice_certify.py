"""The exact shifts that a certificate finds are those that can be told by hand.

Two levels of stride 2 see a shift by a multiple of 4 as one of whole entries, and no
other. A mean at the end of averages or blurs is the mean of the map before them, and a
maximum of maxima is that of the map before them: so a head straight after the second
pool sees the stride of the first alone. Padding has a place, which no shift moves.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lattice_nets import halving, image, parameters, shape, two_levels
from mutant_pools import MUTANTS

from cnnlab.diagnostics.lattice import certify
from cnnlab.ops import pools
from cnnlab.ops.convolution import conv

slow = pytest.mark.slow
POLYPHASE = "adaptive_polyphase", "learned_polyphase"


def multiples(of, side=16):
    places = np.arange(side) % of == 0
    return places[:, None] & places


def certified(pool, **options):
    net = functools.partial(two_levels, pool=pool, **options)
    return certify(net, parameters(), image(), per_layer=False)


@pytest.mark.parametrize(
    "spec",
    [
        "max_pool",
        pytest.param("avg_pool", marks=slow),
        pytest.param("blur_pool", marks=slow),
        pytest.param(None, marks=slow),
    ],
)
def test_two_levels_are_exact_for_one_shift_of_sixteen(spec):
    certificate = certified(spec and halving(spec))
    np.testing.assert_array_equal(certificate.invariant, multiples(of=4))
    assert str(certificate) == "output: invariant: lattice 4x4"
    assert certificate.dtype == "float32" and certificate.output.to == 0


@pytest.mark.parametrize(
    "spec, head, stride",
    [
        ("avg_pool", jnp.mean, 2),
        pytest.param("blur_pool", jnp.mean, 2, marks=slow),
        pytest.param("max_pool", jnp.max, 2, marks=slow),
        pytest.param("max_pool", jnp.mean, 4, marks=slow),
        pytest.param("avg_pool", jnp.max, 4, marks=slow),
        pytest.param("blur_pool", jnp.max, 4, marks=slow),
    ],
)
def test_a_head_after_its_own_pool_sees_half_the_stride(spec, head, stride):
    certificate = certified(halving(spec), head=head, third=False)
    np.testing.assert_array_equal(certificate.invariant, multiples(of=stride))


@pytest.mark.parametrize(
    "spec",
    ["adaptive_polyphase(pool=None)", pytest.param("learned_polyphase", marks=slow)],
)
def test_shift_exact_pools_are_exact_for_all_shifts(spec):
    certificate = certified(halving(spec))
    assert str(certificate) == "output: invariant: all"
    assert certificate.dtype == "float32"


@slow
@pytest.mark.parametrize("name", POLYPHASE)
def test_the_map_of_a_shift_exact_pool_is_rolled(name):
    net = functools.partial(two_levels, pool=halving(name))
    certificate = certify(net, parameters(), image())
    first, second = (v for v in certificate.operations if v.name == name)
    assert first.rolled.all() and first.strides == (2, 2)
    assert second.rolled.all() and second.strides == (4, 4)
    assert (multiples(of=2) <= first.equivariant).all()
    assert not first.equivariant.all() and not second.invariant.all()


@pytest.mark.parametrize(
    "boundary",
    ["zero", pytest.param("reflect", marks=slow), pytest.param("edge", marks=slow)],
)
def test_a_border_leaves_the_identity_alone(boundary):
    certificate = certified(halving("max_pool", boundary), boundary=boundary)
    assert str(certificate.output) == "invariant: identity alone"


@slow
@pytest.mark.parametrize("name", [name for name in pools if name not in POLYPHASE])
def test_every_other_pool_goes_by_its_strides(name):
    certificate = certified(halving(name))
    stride = 16 if name == "fractional_max_pool" else 4
    np.testing.assert_array_equal(certificate.invariant, multiples(of=stride))
    exact = certificate.output.to == 0
    assert exact == (certificate.dtype == "float32")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if "ties" in name else slow) for name in MUTANTS],
)
def test_a_mutant_loses_its_certificate(name):
    wrong, right, kind = MUTANTS[name]
    shifts = [
        getattr(certify(pool, shape(1, 8, 8, 2), per_layer=False).output, kind)
        for pool in (wrong, right)
    ]
    everything = np.ones_like(shifts[1])
    np.testing.assert_array_equal(
        shifts[1], everything if kind == "rolled" else multiples(2, 8)
    )
    assert (shifts[0] < shifts[1]).any()


def test_what_is_equal_to_rounding_alone_is_exact():
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 1)).astype(np.float32)

    def mean(x):
        return jnp.cumsum(x.reshape(1, -1), 1)[:, -1] / 64

    moved = [np.asarray(mean(np.roll(x, shift, 2)))[0] for shift in range(8)]
    assert 0 < np.ptp(moved) < 1e-6
    assert certify(mean, x, per_layer=False).invariant.all()


def test_sums_stay_exact_at_any_depth():
    # Plain integers would be past 2^24 by the ninth of these.
    def deep(kernels, x):
        step = lambda x, kernel: (jax.nn.relu(conv(x, kernel, boundary="circular")), 0)  # noqa: E731
        return jax.lax.scan(step, x, kernels)[0].mean((1, 2))

    side, channels = 8, 4
    certificate = certify(
        deep,
        shape(10, 3, 3, channels, channels),
        shape(1, side, side, channels),
        per_layer=False,
    )
    assert str(certificate) == "output: invariant: all"
    assert certificate.dtype == "float32"
