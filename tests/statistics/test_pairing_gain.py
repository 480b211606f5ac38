import numpy as np
import pytest
import scipy.stats

from cnnlab.statistics import compare_pairs


def pair_row(a, b):
    (row,) = compare_pairs({"a": a, "b": b})
    return row


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_ratio_tells_the_share_of_variance_that_seeds_have_in_common(share):
    generator = np.random.default_rng(0)
    common, *own = generator.normal(size=(3, 20_000))
    arms = [np.sqrt(share) * common + np.sqrt(1 - share) * each for each in own]
    ratio = pair_row(*arms)["variance_ratio"]
    assert ratio == pytest.approx(1 / (1 - share), rel=0.03)


@pytest.mark.parametrize("seeds", [2, 5, 12])
def test_unpaired_seeds_make_an_interval_as_narrow_and_one_fewer_does_not(seeds):
    generator = np.random.default_rng(seeds)
    common = generator.normal(0, 3, size=seeds)
    a, b = common + generator.normal(size=(2, seeds))
    row = pair_row(a, b)

    def half_width(m):
        """Of Student's interval for two samples of m with these variances."""
        error = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / m)
        return scipy.stats.t.ppf(0.975, 2 * m - 2) * error

    paired, m = (row["high"] - row["low"]) / 2, row["seeds_unpaired"]
    assert half_width(m) <= paired
    assert m == 2 or half_width(m - 1) > paired


def test_pairing_what_shares_nothing_costs_degrees_of_freedom():
    a = np.array([1.0, -1.0, 1.0, -1.0, 0.0])
    b = np.array([1.0, 1.0, -1.0, -1.0, 0.0])
    row = pair_row(a, b)
    assert row["variance_ratio"] == pytest.approx(1)
    assert row["seeds_unpaired"] < row["seeds"]


def test_has_no_gain_where_differences_do_not_vary():
    for arms in ([0.5], [0.25]), ([0.5, 0.75], [0.25, 0.5]):
        row = pair_row(*arms)
        assert row["variance_ratio"] is row["seeds_unpaired"] is None
