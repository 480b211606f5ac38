"""Effects of single changes keep to Shapley's axioms, and to a count of all orders."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.diagnostics import surgery
from cnnlab.ops import avg_pool, max_pool
from cnnlab.statistics import mean_interval

GENERATOR = np.random.default_rng(0)


def _game(sites, shape=(), seed=0):
    """A score of sets of sites, drawn set by set."""
    generator = np.random.default_rng(seed)
    sets = [
        frozenset(chosen)
        for size in range(len(sites) + 1)
        for chosen in itertools.combinations(sites, size)
    ]
    return {chosen: generator.normal(size=shape) for chosen in sets}


def _over_all_orders(game, sites):
    """Shapley's values by their definition."""
    added = {site: [] for site in sites}
    for order in itertools.permutations(sites):
        for place, site in enumerate(order):
            before = frozenset(order[:place])
            added[site].append(game[before | {site}] - game[before])
    return np.stack([np.mean(added[site], 0) for site in sites])


@pytest.mark.parametrize("shape", [(), (7,)])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_exact_effects_are_means_over_all_orders(count, shape):
    sites = tuple("abcdefgh"[:count])
    game = _game(sites, shape)
    found = surgery.effects(game.__getitem__, sites)
    np.testing.assert_allclose(found.shapley, _over_all_orders(game, sites), atol=1e-12)
    assert found.scored == 2**count
    assert found.standard_error is None
    everything, none = frozenset(sites), frozenset()
    for row, site in enumerate(sites):
        only, rest = frozenset(site), everything - {site}
        np.testing.assert_array_equal(found.alone[row], game[only] - game[none])
        np.testing.assert_array_equal(found.last[row], game[everything] - game[rest])


@pytest.mark.parametrize("drawn", [{}, {"permutations": 4, "seed": 1}])
def test_effects_sum_to_the_whole_change(drawn):
    game = _game(range(6), (5,))
    found = surgery.effects(game.__getitem__, range(6), **drawn)
    np.testing.assert_allclose(found.shapley.sum(0), found.full - found.none)


def test_equal_sites_share_and_idle_ones_get_nothing():
    def score(chosen):
        # "a" and "b" do the same, "idle" nothing.
        return len({"a", "b"} & chosen) ** 2 + 3.0 * ("c" in chosen) * ("a" in chosen)

    def symmetric(chosen):
        return len({"a", "b"} & chosen) ** 2 + 3.0 * ("c" in chosen)

    sites = ("a", "idle", "b", "c")
    found = surgery.effects(symmetric, sites).shapley
    np.testing.assert_allclose(found, [2, 0, 2, 3])
    # A product is shared by its factors.
    np.testing.assert_allclose(surgery.effects(score, sites).shapley, [3.5, 0, 2, 1.5])


def test_effects_of_a_sum_are_the_sums_of_effects():
    one, other = _game(range(5), seed=1), _game(range(5), seed=2)
    both = surgery.effects(lambda chosen: one[chosen] - 2 * other[chosen], range(5))
    apart = [surgery.effects(g.__getitem__, range(5)).shapley for g in (one, other)]
    np.testing.assert_allclose(both.shapley, apart[0] - 2 * apart[1], atol=1e-12)


def test_drawn_orders_come_near_the_exact_values_within_their_errors():
    sites = range(7)
    game = _game(sites)
    exact = surgery.effects(game.__getitem__, sites).shapley
    few, many = (
        surgery.effects(game.__getitem__, sites, permutations=count, seed=3)
        for count in (40, 4000)
    )
    assert np.abs(many.shapley - exact).max() < 0.05
    # Ten times fewer by a hundred times more orders.
    ratio = few.standard_error.mean() / many.standard_error.mean()
    assert 7 < ratio < 14
    # Errors of 7 values over 60 draws, of which about 95 % are within two.
    inside = [
        np.abs(drawn.shapley - exact) < 2 * drawn.standard_error
        for drawn in (
            surgery.effects(game.__getitem__, sites, permutations=40, seed=seed)
            for seed in range(60)
        )
    ]
    assert 0.9 < np.mean(inside) < 0.99


def test_a_draw_is_that_of_its_seed():
    game = _game(range(6))
    draw = lambda seed: surgery.effects(  # noqa: E731
        game.__getitem__, range(6), permutations=6, seed=seed
    )
    np.testing.assert_array_equal(draw(1).shapley, draw(1).shapley)
    assert not np.array_equal(draw(1).shapley, draw(2).shapley)


def test_more_sites_than_can_be_counted_are_drawn():
    def score(chosen):
        return sum(chosen) ** 2 / 100

    found = surgery.effects(score, range(12), permutations=200, seed=0)
    # Of (sum of x)^2 the value of x is x times the sum of all.
    exact = np.arange(12) * 66 / 100
    np.testing.assert_allclose(found.shapley, exact, atol=0.3)
    assert found.scored < 2**12
    # Without a number 16 orders: at most as many sets, of which many come again.
    quick = surgery.effects(score, range(12), seed=1)
    assert 16 < quick.scored <= 16 * 11 + 2 + 2 * 12
    np.testing.assert_allclose(quick.shapley.sum(), quick.full - quick.none)
    assert (np.abs(quick.shapley - exact) <= 6 * quick.standard_error + 1e-12).all()
    # Of few sites none is drawn.
    assert surgery.effects(score, range(8), seed=1).standard_error is None


def test_scores_per_image_give_intervals_over_images():
    images = GENERATOR.normal(0.2, 0.1, 50)
    found = surgery.effects(lambda chosen: images * len(chosen) ** 2, ("a", "b"))
    low, high = mean_interval(found.shapley[0])[1:3]
    assert low < 0.4 < high
    assert str(found).splitlines()[0].startswith("a: alone +0.")


def _two_pools(x):
    return max_pool(max_pool(x, 2, 2), 2, 2).mean((1, 2))


def test_downsampling_effects_score_each_swapped_function():
    x = jax.random.normal(jax.random.key(0), (3, 8, 8, 2))
    compiled = []

    def score(predict):
        compiled.append(predict)
        return predict(x).sum(-1)

    found = surgery.downsampling_effects(_two_pools, "avg_pool", score, x)
    every_mean = avg_pool(avg_pool(x, 2, 2), 2, 2).mean((1, 2)).sum(-1)
    assert found.sites == (0, 1)
    assert len(compiled) == found.scored == 4
    np.testing.assert_allclose(found.none, _two_pools(x).sum(-1), rtol=1e-6)
    np.testing.assert_allclose(found.full, every_mean, rtol=1e-5, atol=1e-6)
    second = avg_pool(max_pool(x, 2, 2), 2, 2).mean((1, 2)).sum(-1)
    np.testing.assert_allclose(found.alone[1], second - found.none, rtol=1e-5)
    one = surgery.downsampling_effects(_two_pools, "avg_pool", score, x, among=[1])
    np.testing.assert_allclose(one.shapley, found.alone[1:], rtol=1e-6)


def test_what_cannot_be_swapped_is_told_before_anything_is_scored():
    def bad(function, operator, message, **options):
        x = jax.ShapeDtypeStruct((3, 8, 8, 2), jnp.float32)
        with pytest.raises(ValueError, match=message):
            surgery.downsampling_effects(function, operator, pytest.fail, x, **options)

    bad(_two_pools, "mox_pool", "unknown pool 'mox_pool'")
    bad(_two_pools, "avg_pool", "unknown site 2", among=[2])
    bad(jnp.sum, "avg_pool", "sum has no sites")
    bad(_two_pools, lambda x, w, s, p: x, "site 0")


@pytest.mark.parametrize(
    "score, sites, options, message",
    [
        (len, (), {}, "sites: there are none"),
        (len, (1, 1), {}, r"sites: \(1, 1\) has one of them twice"),
        (len, range(9), {}, "^seed: None; 16 orders of the 9 sites are drawn, which"),
        (len, range(9), {"permutations": 8}, "^seed: None; 8 orders of the 9 sites"),
        (len, range(9), {"seed": -1}, "seed -1 must be at least 0"),
        (len, range(3), {"permutations": 5, "seed": 0}, "permutations: 5; an even"),
        (lambda s: np.zeros(len(s)), (1,), {}, r"of shape \(1,\) for sites \[1\]"),
        (lambda s: np.nan, (1,), {}, r"not finite for sites \[\]"),
    ],
)
def test_bad_input_is_one_line(score, sites, options, message):
    with pytest.raises(ValueError, match=message) as told:
        surgery.effects(score, sites, **options)
    assert "\n" not in str(told.value)
