"""What a certificate is made of: sets of shifts, draws, folds, and what is refused."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lattice_nets import halving, image, parameters, shape, two_levels

from cnnlab.diagnostics.lattice import certify
from cnnlab.diagnostics.lattice.copies import copies, power_of_two
from cnnlab.diagnostics.lattice.drawing import draw_image, draw_weights
from cnnlab.diagnostics.lattice.shift_sets import (
    describe,
    divisor_shifts,
    is_closed,
    lattice,
    spanned,
)
from cnnlab.diagnostics.lattice.staircase import folded
from cnnlab.errors import UserError


@pytest.mark.parametrize(
    "shifts, words",
    [
        ([(0, 0)], "identity alone"),
        ([], "none"),
        ([(0, 0), (2, 0)], "lattice 2x6"),
        ([(0, 0), (0, 3), (2, 0), (2, 3)], "lattice 2x3"),
        ([(0, 0), (2, 3)], "irregular: 2 of 24"),
        ([(0, 0), (3, 0)], "irregular: 2 of 24"),
        ([(0, 0), (0, 2)], "irregular: 2 of 24"),
        ([(1, 0)], "irregular: 1 of 24"),
        (list(np.ndindex(4, 6)), "all"),
    ],
)
def test_sets_are_told_in_words(shifts, words):
    grid = np.zeros((4, 6), bool)
    for shift in shifts:
        grid[shift] = True
    assert describe(grid) == words


def test_a_lattice_has_its_share_of_shifts():
    assert lattice((8, 12), 4, 3).mean() == 1 / 12


@pytest.mark.parametrize(
    "sizes", [(3, 3, 1, 4), (3, 3, 16, 64), (5, 3, 3, 2, 4), (400, 3), (64, 3, 3, 3)]
)
def test_drawn_kernels_are_sparse_and_no_output_is_without(sizes):
    weights = draw_weights(sizes, np.random.default_rng(0))
    assert set(np.unique(weights)) <= {-2, -1, 0, 1, 2}
    outputs = weights.reshape(-1, sizes[-1])
    assert (outputs.min(0) < 0).all() and (outputs.max(0) > 0).all()
    assert weights.reshape(sizes[0], -1).any(1).all()


def test_the_norms_of_what_strides_keep_are_tied():
    image = draw_image((1, 16, 16, 2), (1, 2), True, np.random.default_rng(0))
    parts = [[image[0, i::2, j::2] for j in (0, 1)] for i in (0, 1)]
    norms = np.array([[(part**2).sum() for part in row] for row in parts])
    assert norms[0, 0] == norms[1, 1] and norms[0, 1] == norms[1, 0]
    rolls = [np.roll(parts[0][0], shift, (0, 1)) for shift in np.ndindex(8, 8)]
    assert not any(np.array_equal(roll, parts[1][1]) for roll in rolls)


def test_a_fold_is_pointwise_and_does_not_fall():
    x = np.random.default_rng(0).normal(size=(4, 50)).astype(np.float32) ** 3
    x[1:] = [np.roll(x[0], shift) for shift in (1, 2, 3)]
    kept = folded(copies(jnp.asarray(x)))
    y = np.asarray(kept.arrays)
    assert bool(kept.exact) and not bool(kept.unrounded)
    for shift in (1, 2, 3):
        np.testing.assert_array_equal(y[shift], np.roll(y[0], shift))
    in_order = y[0][np.argsort(x[0])]
    assert (np.diff(in_order) >= 0).all() and np.ptp(in_order) > 16
    assert (y == np.round(y)).all() and folded(copies(jnp.zeros((2, 3)))).exact


def test_small_integers_are_not_folded():
    x = jnp.arange(40.0).reshape(2, 20)
    np.testing.assert_array_equal(folded(copies(x)).arrays, x)


def test_exact_is_what_few_bits_hold():
    whole = jnp.array([[3.0, -0.125], [2.0**10, 5.0]])
    assert copies(whole).exact
    for other in (1 / 3, 2.0**20 + 1, jnp.nan, jnp.inf - jnp.inf):
        assert not copies(whole.at[0, 0].set(other)).exact


def test_powers_of_two_are_the_nearest_by_ratio():
    x = jnp.array([0.0, 1.0, 1.4, 1.5, -49.0, 1 / 9])
    np.testing.assert_array_equal(power_of_two(x), [0, 1, 1, 2, -64, 1 / 8])


def test_an_output_that_is_dead_is_not_certified():
    certificate = certify(lambda x: jax.nn.relu(x - 9).sum((1, 2)), shape(1, 4, 4, 1))
    assert certificate.output.constant and not certificate.invariant.any()
    assert "nothing to certify" in str(certificate)
    assert certificate.notes == ("relu: is off everywhere, and so no test of it",)


def test_roots_are_compared_in_float64_and_marked():
    def function(x):
        return jnp.cumsum(jnp.sqrt(x + 1).reshape(1, -1), 1)[:, -1]

    certificate = certify(function, shape(1, 4, 4, 1))
    assert certificate.invariant.all() and certificate.dtype == "float64"
    assert str(certificate.output) == "invariant: all (to 1e-09)"


def test_a_function_of_held_weights_keeps_their_signs():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 1, 4)).astype(np.float32)

    def function(x):
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="wrap")
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            padded, kernel, (2, 2), "VALID", dimension_numbers=numbers
        )

    certificate = certify(function, shape(1, 8, 8, 1), per_layer=False)
    assert certificate.dtype == "float32"
    np.testing.assert_array_equal(certificate.equivariant, lattice((8, 8), 2, 2))


def test_axes_and_the_place_of_the_image_may_be_others():
    def function(x, weights):
        return (x[:, :, ::3] * weights[0]).swapaxes(0, 2)

    arguments = shape(2, 4, 6), shape(1)
    certificate = certify(function, *arguments, image=0, spatial=(1, 2))
    np.testing.assert_array_equal(certificate.equivariant, lattice((4, 6), 1, 3))
    assert certificate.output.strides == (1, 3)


@pytest.mark.parametrize(
    "function, image, options, message",
    [
        (jnp.sum, [1.0], {}, "image: must be an array, got list"),
        (
            jnp.sum,
            np.zeros((4, 4)),
            {},
            r"image: must be \[\*batch, height, width, channels\], got shape \(4, 4\)",
        ),
        (
            jnp.sum,
            np.zeros((1, 4, 4, 1), np.uint8),
            {},
            "image: must hold floating-point numbers, got uint8",
        ),
        (
            jnp.sum,
            np.zeros((2, 1, 1, 3)),
            {},
            r"image: of shape \(2, 1, 1, 3\) has no shift to certify",
        ),
        (
            jnp.sum,
            np.zeros((4, 4)),
            {"spatial": (0, 2)},
            r"spatial: \(0, 2\) must be two axes of an image of shape \(4, 4\)",
        ),
        (jnp.sum, np.zeros((4, 4)), {"image": 2}, "image: 2 must be one of 1 arg"),
        (
            lambda x: jnp.ones(3),
            np.zeros((1, 4, 4, 1)),
            {},
            "function: none of its outputs depends on the image",
        ),
        (
            lambda x: jnp.tanh(x.astype(jnp.bfloat16)),
            np.zeros((1, 4, 4, 1)),
            {},
            "function: computes in bfloat16",
        ),
    ],
)
def test_what_cannot_be_certified_is_refused_in_one_line(
    function, image, options, message
):
    with pytest.raises(UserError, match=message) as refused:
        certify(function, image, **options)
    assert "\n" not in str(refused.value)


def test_choices_that_agree_by_chance_are_asked_more_often():
    def flattened(x, axis):
        return x.reshape(x.shape[0], -1)

    pool = halving("adaptive_polyphase(pool=None)")
    net = functools.partial(two_levels, pool=pool, head=flattened)
    few = certify(net, parameters(), image(8), trials=2, per_layer=False)
    assert np.count_nonzero(few.invariant) > 1
    assert any("not closed under addition" in note for note in few.notes)
    certificate = certify(net, parameters(), image(8), per_layer=False)
    assert str(certificate.output) == "invariant: identity alone"


@pytest.mark.parametrize("trials", [0, -1])
def test_no_trials_are_refused(trials):
    with pytest.raises(ValueError, match=f"trials {trials} must be at least 1"):
        certify(lambda x: x, image(8), trials=trials)


def test_a_set_is_closed_if_sums_stay_in_it():
    diagonal = np.eye(4, dtype=bool)
    assert is_closed(diagonal) and is_closed(np.ones((4, 4), bool))
    diagonal[1, 1] = False
    assert not is_closed(diagonal)


def test_shifts_that_were_not_asked_for_are_not_told_of():
    net = functools.partial(two_levels, pool=halving("max_pool"))
    asked = [(4, 0), (0, -4), (2, 0), (20, 4), (1, 3)]
    certificate = certify(net, parameters(), image(), shifts=asked, per_layer=False)
    found = {(4, 0), (0, 12), (4, 4)}
    assert set(map(tuple, np.argwhere(certificate.invariant).tolist())) == found
    assert certificate.notes[-1].startswith("5 of the 256 shifts were tried")


@pytest.mark.parametrize(
    "shifts, message",
    [
        ([], "shifts: must be pairs"),
        ([(1, 2, 3)], "shifts: must be pairs"),
        (3, "shifts: must be pairs"),
        ([(0.5, 1)], "shifts: must be whole pixels"),
    ],
)
def test_what_is_no_shift_is_refused(shifts, message):
    with pytest.raises(UserError, match=message):
        certify(lambda x: x, image(8), shifts=shifts)


def test_a_loop_is_exact_at_any_depth_and_hands_on_what_was_a_constant():
    def function(x):
        def trip(carry, entry):
            sums, rows = carry
            sums = jax.nn.relu(3 * sums + entry - 1)
            return (sums, rows + entry), sums

        start = jnp.zeros((1, 8, 1)), jnp.zeros((1, 8, 1))
        entries = jnp.tile(x.swapaxes(0, 1), (10, 1, 1, 1))
        (sums, _), stacked = jax.lax.scan(trip, start, entries)
        return stacked, sums.sum(1)

    certificate = certify(function, image(8), per_layer=False)
    assert certificate.dtype == "float32"
    stacked, sums = certificate.outputs
    np.testing.assert_array_equal(sums.invariant, lattice((8, 8), 8, 1))
    assert not stacked.constant and not stacked.invariant[1:].any()


def grid(*shifts, shape=(8, 12)):
    """The set of these shifts of a torus."""
    members = np.zeros(shape, bool)
    members[tuple(np.transpose(shifts))] = True
    return members


def test_divisors_span_every_lattice():
    tried = grid(*divisor_shifts((8, 12)))
    for steps in itertools.product((1, 2, 4, 8), (1, 2, 3, 4, 6, 12)):
        exact = lattice((8, 12), *steps)
        np.testing.assert_array_equal(spanned(exact & tried, tried), exact)


def test_sums_of_exact_shifts_are_exact_but_not_where_a_sum_is_refuted():
    tried = grid((2, 0), (4, 0), (0, 3), (1, 1), (2, 2))
    found = grid((4, 0), (0, 3))
    np.testing.assert_array_equal(spanned(found, tried), lattice((8, 12), 4, 3))
    chance = found | grid((1, 1))
    np.testing.assert_array_equal(spanned(chance, tried), lattice((8, 12), 4, 3))
    assert spanned(grid((1, 1)), grid((1, 1))).sum() == 24
