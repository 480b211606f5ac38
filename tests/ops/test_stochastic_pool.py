"""Stochastic pooling draws by Zeiler and Fergus's law; without a key it is the mean."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
import scipy.stats
from geometries import CASES, signed_map

from cnnlab.ops import avg_pool, stochastic_pool

DRAWS = 4000
WINDOW = (0.5, 0.0, 1.0, 2.5, 0.25, 0.75)


def _draws(x, *arguments, count=DRAWS, seed=0, **options):
    """`[count, *pooled]`: the pooled map under as many keys."""
    keys = jax.random.split(jax.random.key(seed), count)

    @jax.jit
    def draw(keys):
        return jax.vmap(lambda key: stochastic_pool(x, *arguments, key=key, **options))(
            keys
        )

    return np.asarray(draw(keys))


def _row(*entries):
    return jnp.asarray(entries, jnp.float32)[:, None]


def _counts(drawn, entries):
    return np.array([np.sum(drawn == np.float32(entry)) for entry in entries])


def test_example_of_the_paper():
    entries = np.array([1.6, 2.4])
    probabilities = references.stochastic_probabilities(entries)
    np.testing.assert_allclose(probabilities, [0.4, 0.6])
    mean = stochastic_pool(_row(*entries), (2,)).item()
    assert mean == pytest.approx(2.08)
    drawn = _draws(_row(*entries), (2,))
    assert scipy.stats.binomtest(int(np.sum(drawn < 2)), DRAWS, 0.4).pvalue > 0.01


@pytest.mark.parametrize("case", CASES)
def test_without_a_key_is_the_mean_of_the_law(case):
    case = CASES[case]
    x = signed_map(case.shape)
    lanes = []

    def mean(entries, taps):
        law = references.stochastic_probabilities(entries)
        alive = (entries > 0).any(axis=0)
        np.testing.assert_allclose(law.sum(axis=0), alive)
        lanes.append(alive)
        return (law * entries).sum(axis=0)

    wanted = references.apply(mean, x, *case.arguments(), case.boundary)
    got = case.apply(stochastic_pool, jnp.asarray(x))
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    assert np.any(lanes)


def test_draws_average_to_the_value_without_a_key():
    x = jnp.asarray(np.maximum(signed_map((5, 5, 2)), 0))
    drawn = _draws(x, 3, 2, "SAME").astype(np.float64)
    error = scipy.stats.sem(drawn, axis=0)
    distance = np.abs(drawn.mean(axis=0) - stochastic_pool(x, 3, 2, "SAME"))
    # Eighteen windows at a level of 1 % together.
    bound = scipy.stats.norm.ppf(1 - 0.005 / 18)
    assert np.all(distance <= bound * error + 1e-6)
    # A uniform draw's mean would be told apart.
    uniform = avg_pool(x, 3, 2, "SAME", count_include_pad=False)
    assert np.any(np.abs(drawn.mean(axis=0) - uniform) > 5 * bound * error)


def test_law_of_the_draw():
    drawn = _draws(_row(*WINDOW), (6,))
    counts = _counts(drawn, WINDOW)
    assert counts.sum() == DRAWS and counts[1] == 0
    law = references.stochastic_probabilities(np.array(WINDOW))
    possible = law > 0
    expected = DRAWS * law[possible]
    assert scipy.stats.chisquare(counts[possible], expected).pvalue > 0.01


def test_law_tells_a_uniform_draw_apart():
    uniform = np.random.default_rng(0).integers(len(WINDOW), size=DRAWS)
    law = references.stochastic_probabilities(np.array(WINDOW))
    possible = law > 0
    counts = np.bincount(uniform, minlength=len(WINDOW))[possible]
    expected = counts.sum() * law[possible]
    assert scipy.stats.chisquare(counts, expected).pvalue < 1e-9


PLACES = {
    "overlapping windows": lambda x: _draws(x[:4], (3,))[:, :, 0],
    "channels": lambda x: _draws(jnp.concatenate([x[:3]] * 2, -1), (3,))[:, 0],
    "examples": lambda x: _draws(jnp.stack([x[:3]] * 2), (3,))[:, :, 0, 0],
    "keys": lambda x: _draws(x[:3], (3,))[:, 0, 0].reshape(-1, 2),
}


@pytest.mark.parametrize("place", PLACES)
def test_draws_are_independent_between(place):
    # Two windows over entries of the set {1, 2, 3}, each in its own order.
    pairs = PLACES[place](_row(1, 2, 3, 1))
    table = np.zeros((3, 3))
    np.add.at(table, tuple(pairs.astype(int).T - 1), 1)
    expected = len(pairs) * np.outer([1, 2, 3], [1, 2, 3]) / 36
    assert scipy.stats.chisquare(table.ravel(), expected.ravel()).pvalue > 0.01


@pytest.mark.parametrize("padding", ["SAME", "FULL", 2])
def test_padding_is_never_drawn(padding):
    drawn = _draws(jnp.full((3, 3, 1), 2.0), 3, 1, padding, count=50)
    assert np.all(drawn == 2)


def test_what_a_boundary_fills_in_is_drawn():
    x = _row(1, 2, 4)
    drawn = _draws(x, (3,), 1, 1, boundary="circular")[:, 0, 0]
    assert set(drawn) == {1, 2, 4}


def test_gradient_goes_to_the_drawn_entry_alone():
    x = _row(*WINDOW)

    def pooled(x, key):
        return stochastic_pool(x, (6,), key=key).sum()

    keys = jax.random.split(jax.random.key(1), 20)
    out, gradient = jax.vmap(jax.value_and_grad(pooled), (None, 0))(x, keys)
    np.testing.assert_array_equal(gradient[..., 0], out[:, None] == np.array(WINDOW))
    assert len(set(out.tolist())) > 1


def test_gradient_adds_up_where_windows_overlap():
    x, key = jnp.asarray(np.abs(signed_map((5, 5, 1))) + 0.5), jax.random.key(0)
    out, pull = jax.vjp(lambda x: stochastic_pool(x, 3, key=key), x)
    (gradient,) = pull(out)
    # Each window gives its drawn entry that entry's value once.
    assert np.all(np.round(gradient / x, 4) % 1 == 0)
    np.testing.assert_allclose(gradient.sum(), out.sum(), rtol=1e-5)


@pytest.mark.parametrize("key", [None, 0])
@pytest.mark.parametrize("entries", [(0, 0, 0), (-1, -2, 0), (-1, -2, -3)])
def test_nothing_above_zero_gives_zero_with_gradient_zero(entries, key):
    key = None if key is None else jax.random.key(key)

    def pooled(x):
        return stochastic_pool(x, (3,), key=key).sum()

    out, gradient = jax.value_and_grad(pooled)(_row(*entries))
    assert out == 0 and np.all(gradient == 0)


def test_negative_entries_count_as_zero():
    x = _row(-3, 1, -0.5, 2, -9, 0)
    relu = jnp.maximum(x, 0)
    np.testing.assert_array_equal(stochastic_pool(x, (3,)), stochastic_pool(relu, (3,)))
    np.testing.assert_array_equal(
        _draws(x, (3,), count=200), _draws(relu, (3,), count=200)
    )
    assert np.all(_draws(x, (3,), count=200) > 0)


@pytest.mark.parametrize("entry", [jnp.nan, jnp.inf])
@pytest.mark.parametrize("key", [None, 0])
def test_what_has_no_law_stays_visible(entry, key):
    key = None if key is None else jax.random.key(key)
    out = stochastic_pool(_row(1, entry, 2, 1, 2, 3), (3,), 3, key=key).ravel()
    assert np.isnan(out[0]) and np.isfinite(out[1])


def test_first_and_last_entries_are_drawn_as_often_as_they_should():
    for order in itertools.permutations((1.0, 2.0, 5.0)):
        counts = _counts(_draws(_row(*order), (3,), count=2000), order)
        expected = 2000 * np.array(order) / 8
        assert scipy.stats.chisquare(counts, expected).pvalue > 0.001
