import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from cnnlab.statistics import compare_pairs
from cnnlab.statistics.equivalence import equivalence_p
from cnnlab.statistics.holm import holm


def pair_row(differences, **options):
    zeros = np.zeros(len(differences))
    (row,) = compare_pairs({"a": differences, "b": zeros}, **options)
    return row


def count_equivalent(true, spread, n, delta, runs, seed):
    draws = np.random.default_rng(seed).normal(true, spread, size=(runs, n))
    return sum(pair_row(each, delta=delta)["equivalent"] for each in draws)


@pytest.mark.parametrize("n", [2, 5, 30])
@pytest.mark.parametrize("true", [-0.02, -0.003, 0.0, 0.008])
def test_equals_the_two_one_sided_tests(n, true):
    differences = np.random.default_rng(n).normal(true, 0.005, size=n)
    delta = 0.01
    below = scipy.stats.ttest_1samp(differences, delta, alternative="less")
    above = scipy.stats.ttest_1samp(differences, -delta, alternative="greater")
    p = pair_row(differences, delta=delta)["p_equivalent"]
    np.testing.assert_allclose(p, max(below.pvalue, above.pvalue), rtol=1e-9)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_is_that_the_narrower_interval_lies_within_delta(confidence):
    generator = np.random.default_rng(1)
    seen = set()
    for _ in range(100):
        differences = generator.normal(0.004, 0.004, size=5)
        row = pair_row(differences, delta=0.01, confidence=confidence)
        inner = pair_row(differences, confidence=2 * confidence - 1)
        inside = -0.01 < inner["low"] and inner["high"] < 0.01
        assert row["equivalent"] == inside
        seen.add(inside)
    assert seen == {True, False}


def test_at_delta_it_errs_as_often_as_the_level_says():
    runs = 1000
    wrong = count_equivalent(0.01, 0.002, 5, 0.01, runs, seed=2)
    assert scipy.stats.binomtest(wrong, runs, 0.05).pvalue > 1e-3


@pytest.mark.parametrize("spread, n", [(0.006, 5), (0.01, 8)])
def test_finds_equal_arms_equivalent_as_often_as_theory_says(spread, n):
    delta, runs = 0.01, 600
    critical = scipy.stats.t.ppf(0.95, n - 1)

    def given(deviation):
        room = max(delta - critical * deviation * spread / np.sqrt(n), 0)
        inside = 2 * scipy.stats.norm.cdf(room * np.sqrt(n) / spread) - 1
        scale = 1 / np.sqrt(n - 1)
        return inside * scipy.stats.chi.pdf(deviation, n - 1, scale=scale)

    power = scipy.integrate.quad(given, 0, 10)[0]
    found = count_equivalent(0.0, spread, n, delta, runs, seed=n)
    assert 0.3 < power < 0.95
    assert scipy.stats.binomtest(found, runs, power).pvalue > 1e-3


def test_several_pairs_are_adjusted_by_holm():
    generator = np.random.default_rng(4)
    arms = {name: 0.9 + generator.normal(0, 0.002, size=5) for name in "abcd"}
    rows = compare_pairs(arms, delta=0.006)
    assert [row["p_equivalent_holm"] for row in rows] == holm(
        [row["p_equivalent"] for row in rows]
    )
    assert {row["equivalent"] for row in rows} == {True, False}
    for row in rows:
        assert row["equivalent"] == (row["p_equivalent_holm"] < 0.05)


def test_small_and_certain_is_resolved_and_also_equivalent():
    row = pair_row([0.0010, 0.0011, 0.0009, 0.0010], delta=0.01)
    assert (row["verdict"], row["equivalent"]) == ("resolved", True)


def test_verdict_where_nothing_differs_or_nothing_is_known():
    near = [0.0004, -0.0003, 0.0001, -0.0002, 0.0001]
    assert pair_row(near, delta=0.01)["verdict"] == "equivalent"
    assert pair_row(near, delta=0.0001)["verdict"] == "not resolved"
    assert pair_row(near)["verdict"] == "not resolved"
    assert pair_row(near)["equivalent"] is None


def test_without_spread_the_mean_decides():
    assert equivalence_p(0.0, 0.0, 4, 0.01) == 0
    assert equivalence_p(0.01, 0.0, 4, 0.01) == 1
    assert pair_row([0.0, 0.0], delta=0.01)["verdict"] == "equivalent"


def test_one_seed_is_equivalent_to_nothing():
    row = pair_row([0.0], delta=0.5)
    assert row["p_equivalent"] is row["p_equivalent_holm"] is row["equivalent"] is None
    assert row["verdict"] == "not resolved"


@pytest.mark.parametrize("delta", [0, -0.1, float("nan"), float("inf")])
def test_refuses_a_delta_that_bounds_nothing(delta):
    with pytest.raises(ValueError, match=f"delta {delta}"):
        compare_pairs({"a": [0.1, 0.2], "b": [0.1, 0.3]}, delta=delta)
