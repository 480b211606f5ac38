import itertools

import numpy as np
import pytest
import scipy.stats

from cnnlab.statistics import compare, compare_pairs, mean_interval
from cnnlab.statistics.holm import holm


def drawn_arms(count, seeds, spread=0.01):
    generator = np.random.default_rng(count * 100 + seeds)
    shared = generator.normal(0, 0.02, size=seeds)
    return {
        f"arm{i}": 0.9 + 0.004 * i + shared + generator.normal(0, spread, size=seeds)
        for i in range(count)
    }


def slow_holm(p_values):
    """Each hypothesis' smallest level at which the sequential test rejects it."""

    def rejected(level):
        remaining = set(range(len(p_values)))
        while remaining:
            smallest = min(remaining, key=lambda i: p_values[i])
            if p_values[smallest] * len(remaining) > level:
                break
            remaining.remove(smallest)
        return set(range(len(p_values))) - remaining

    levels = {1.0}
    for p, k in itertools.product(p_values, range(1, len(p_values) + 1)):
        levels.add(min(p * k, 1.0))
    return [
        min((level for level in levels if i in rejected(level)), default=1.0)
        for i in range(len(p_values))
    ]


@pytest.mark.parametrize("seeds", [2, 5, 30])
def test_equals_the_paired_t_test(seeds):
    arms = drawn_arms(3, seeds)
    for row in compare_pairs(arms, confidence=0.9):
        wanted = scipy.stats.ttest_rel(arms[row["a"]], arms[row["b"]])
        interval = wanted.confidence_interval(0.9)
        np.testing.assert_allclose(row["p"], wanted.pvalue, rtol=1e-9)
        np.testing.assert_allclose(
            [row["low"], row["high"]], [interval.low, interval.high], rtol=1e-9
        )


def test_difference_is_a_minus_b_and_lies_in_its_interval():
    arms = drawn_arms(4, 5)
    for row in compare_pairs(arms):
        wanted = mean_interval(arms[row["a"]]).mean - mean_interval(arms[row["b"]]).mean
        np.testing.assert_allclose(row["difference"], wanted, atol=1e-12)
        assert row["low"] < row["difference"] < row["high"]


def test_has_every_pair_once_in_the_order_of_the_arms():
    arms = drawn_arms(5, 3)
    rows = compare_pairs(arms, metric="loss")
    assert [(row["a"], row["b"]) for row in rows] == list(
        itertools.combinations(arms, 2)
    )
    assert {row["metric"] for row in rows} == {"loss"}


def test_chosen_pairs_are_adjusted_for_each_other_alone():
    rng = np.random.default_rng(3)
    arms = {name: rng.normal(size=5) for name in "abcd"}
    chosen = compare_pairs(arms, pairs=[("b", "a"), ("c", "d")])
    assert [(row["a"], row["b"]) for row in chosen] == [("b", "a"), ("c", "d")]
    halves = [compare_pairs({n: arms[n] for n in pair})[0] for pair in ("ba", "cd")]
    assert [row["p"] for row in chosen] == [row["p"] for row in halves]
    assert [row["p_holm"] for row in chosen] == holm([row["p"] for row in halves])


def test_swapping_two_arms_changes_signs_alone():
    (forth,) = compare_pairs({"x": [0.9, 0.8, 0.95], "y": [0.7, 0.75, 0.8]})
    (back,) = compare_pairs({"y": [0.7, 0.75, 0.8], "x": [0.9, 0.8, 0.95]})
    assert forth["difference"] == -back["difference"]
    assert (forth["low"], forth["high"]) == (-back["high"], -back["low"])
    for same in ("p", "p_holm", "verdict", "seeds_needed"):
        assert forth[same] == back[same]


def test_pairing_sees_through_what_the_seeds_share():
    shared = np.array([0.0, 0.1, -0.1, 0.05, -0.05])
    own = np.array([1, -1, 1, -1, 0]) * 1e-3
    arms = {"a": 0.8 + shared, "b": 0.79 + shared + own}
    assert compare_pairs(arms)[0]["verdict"] == "resolved"
    assert scipy.stats.ttest_ind(arms["a"], arms["b"]).pvalue > 0.5


@pytest.mark.parametrize("count", [1, 2, 3, 6, 15])
def test_holm_equals_the_sequential_test(count):
    generator = np.random.default_rng(count)
    p_values = generator.uniform(size=count) ** 4
    p_values[: count // 3] = p_values[0]
    np.testing.assert_allclose(holm(p_values), slow_holm(p_values), rtol=1e-12)


def test_verdict_is_that_of_the_adjusted_p():
    rows = compare_pairs(drawn_arms(6, 5, spread=0.004))
    assert {row["verdict"] for row in rows} == {"resolved", "not resolved"}
    for row in rows:
        assert row["p_holm"] >= row["p"]
        assert (row["verdict"] == "resolved") == (row["p_holm"] < 0.05)
    np.testing.assert_allclose(
        [row["p_holm"] for row in rows], slow_holm([row["p"] for row in rows])
    )


def test_equal_arms_are_seldom_called_different():
    runs, seeds = 400, 4
    generator = np.random.default_rng(3)
    wrong = 0
    for _ in range(runs):
        draws = generator.normal(size=(4, seeds))
        rows = compare_pairs(dict(zip("abcd", draws, strict=True)))
        wrong += any(row["verdict"] == "resolved" for row in rows)
    tail = scipy.stats.binomtest(wrong, runs, 0.05, alternative="greater").pvalue
    assert tail > 1e-4


@pytest.mark.parametrize("effect", [0.3, 0.8, 2.0])
def test_needed_seeds_give_about_the_promised_power(effect):
    standard = np.array([-1.0, 0.0, 1.0])
    arms = {"a": effect + standard, "b": np.zeros(3)}
    seeds = compare_pairs(arms)[0]["seeds_needed"]

    def power(n):
        critical = scipy.stats.t.ppf(0.975, n - 1)
        return scipy.stats.nct.sf(critical, n - 1, effect * np.sqrt(n))

    assert power(seeds) > 0.77
    assert power(seeds - 1) < 0.83


def test_more_pairs_ask_for_more_seeds():
    pair = {"a": [0.5, 0.7, 0.6], "b": [0.4, 0.45, 0.42]}
    alone = compare_pairs(pair)[0]["seeds_needed"]
    among = compare_pairs(pair | {"c": [0.1, 0.2, 0.9], "d": [0.3, 0.1, 0.2]})[0]
    assert among["seeds_needed"] > alone


@pytest.mark.parametrize("seeds", [2, 3, 7])
def test_identical_arms(seeds):
    values = np.random.default_rng(seeds).uniform(size=seeds)
    (row,) = compare_pairs({"a": values, "b": values})
    assert (row["difference"], row["low"], row["high"]) == (0, 0, 0)
    assert (row["p"], row["p_holm"], row["verdict"]) == (1, 1, "not resolved")
    assert row["seeds_needed"] is None


def test_constant_difference_is_certain_despite_rounding():
    a = np.array([0.92, 0.91, 0.87, 0.63])
    b = np.array([0.82, 0.81, 0.77, 0.53])
    assert np.ptp(a - b) > 0, "rounding should make these differences unequal"
    (row,) = compare_pairs({"a": a, "b": b})
    assert (row["p"], row["p_holm"], row["verdict"]) == (0, 0, "resolved")
    assert row["low"] == row["high"] == row["difference"]


def test_two_seeds_that_differ_alike_tell_of_no_spread():
    (row,) = compare_pairs({"a": [0.92, 0.91], "b": [0.82, 0.81]}, delta=0.5)
    assert row["difference"] == pytest.approx(0.1)
    assert row["low"] is row["high"] is row["seeds_needed"] is None
    assert (row["p"], row["p_equivalent"]) == (1, 1)
    assert row["verdict"] == "not resolved"


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("examples", [128, 2000])
def test_shares_of_images_resolve_no_more_by_chance_than_they_may(seeds, examples):
    """Among fifteen pairs of arms that are alike, of which one in twenty may."""
    generator = np.random.default_rng(seeds * examples)
    draws = generator.binomial(examples, 0.9, (400, 6, seeds)) / examples
    wrong = sum(
        any(
            row["verdict"] == "resolved"
            for row in compare_pairs(dict(zip("abcdef", arms, strict=True)))
        )
        for arms in draws
    )
    # Three standard deviations above 20 of 400.
    assert wrong <= 33


def test_differences_that_cancel_are_no_difference():
    arms = {"a": [0.1, 0.2, 0.7], "b": [0.2, 0.7, 0.1]}
    (row,) = compare_pairs(arms)
    assert (row["difference"], row["p"], row["seeds_needed"]) == (0, 1, None)


def test_one_seed_resolves_nothing():
    rows = compare_pairs({"a": [0.9], "b": [0.1], "c": [0.5]})
    assert [row["difference"] for row in rows] == pytest.approx([0.8, 0.4, -0.4])
    for row in rows:
        assert row["verdict"] == "not resolved"
        for absent in ("low", "high", "p", "p_holm", "seeds_needed"):
            assert row[absent] is None


@pytest.mark.parametrize("arms", [{}, {"a": [0.1, 0.2]}])
def test_refuses_fewer_than_two_arms(arms):
    with pytest.raises(ValueError, match=r"^arms \[.*\]; two or more are wanted"):
        compare_pairs(arms)


def test_refuses_arms_that_cannot_be_paired():
    with pytest.raises(ValueError, match=r"'a': 2, 'b': 1"):
        compare_pairs({"a": [0.1, 0.2], "b": [0.3]})
    with pytest.raises(ValueError, match=r"b\[1\] is nan"):
        compare_pairs({"a": [0.1, 0.2], "b": [0.3, float("nan")]})


@pytest.mark.parametrize("count", [2, 5])
def test_what_is_not_resolved_needs_more_seeds_than_it_had(count):
    for seeds in range(2, 8):
        for row in compare_pairs(drawn_arms(count, seeds)):
            if row["verdict"] == "not resolved":
                assert row["seeds_needed"] > seeds


def stored(arms, order):
    return {
        "arms": [
            {
                "name": name,
                "seeds": [
                    {"seed": seed, "test_accuracy": values[seed], "test_loss": seed}
                    for seed in order
                ],
            }
            for name, values in arms.items()
        ]
    }


def test_stored_results_are_paired_by_their_seeds():
    arms = drawn_arms(3, 4)
    results = stored(arms, order=[0, 1, 2, 3])
    results["arms"][1] = stored(arms, order=[2, 0, 3, 1])["arms"][1]
    assert compare(results) == compare_pairs(arms)
    assert {row["difference"] for row in compare(results, metric="test_loss")} == {0}


def test_refuses_stored_arms_of_different_seeds():
    arms = drawn_arms(2, 4)
    results = stored(arms, order=[0, 1])
    results["arms"][1] = stored(arms, order=[0, 2])["arms"][1]
    with pytest.raises(ValueError, match="different seeds"):
        compare(results)
