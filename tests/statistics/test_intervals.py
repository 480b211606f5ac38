import math

import numpy as np
import pytest
import scipy.stats

from cnnlab.statistics import mean_interval


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 3, 5, 40])
def test_equals_the_textbook_interval(n, confidence):
    values = np.random.default_rng(n).normal(0.9, 0.02, size=n)
    interval = mean_interval(values, confidence)
    low, high = scipy.stats.t.interval(
        confidence, n - 1, values.mean(), scipy.stats.sem(values)
    )
    np.testing.assert_allclose(
        interval, [values.mean(), low, high, n], rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("n", [2, 5])
def test_covers_the_true_mean_as_often_as_it_says(n):
    runs, confidence = 2000, 0.9
    draws = np.random.default_rng(7).normal(3.0, 2.0, size=(runs, n))
    intervals = [mean_interval(values, confidence) for values in draws]
    covered = sum(interval.low <= 3.0 <= interval.high for interval in intervals)
    tail = scipy.stats.binomtest(covered, runs, confidence).pvalue
    assert tail > 1e-4


def test_one_value_claims_no_interval():
    assert mean_interval([0.25]) == (0.25, None, None, 1)


@pytest.mark.parametrize("n", range(2, 12))
def test_equal_values_have_an_interval_of_no_width(n):
    assert mean_interval([0.1] * n) == (0.1, 0.1, 0.1, n)


def test_is_not_clipped_to_the_range_of_accuracies():
    assert mean_interval([0.97, 1.0]).high > 1


def test_holds_plain_numbers():
    fields = mean_interval(np.float32([0.5, 0.75]))
    assert [type(field) for field in fields] == [float, float, float, int]


@pytest.mark.parametrize(
    "values, words",
    [
        ([], r"shape \(0,\)"),
        ([[0.1, 0.2]], r"shape \(1, 2\)"),
        ([0.5, math.nan], r"values\[1\] is nan"),
        ([math.inf, 0.5], r"values\[0\] is inf"),
    ],
)
def test_refuses_what_has_no_mean(values, words):
    with pytest.raises(ValueError, match=words):
        mean_interval(values)


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.1])
def test_refuses_a_confidence_that_is_no_probability(confidence):
    with pytest.raises(ValueError, match=f"confidence {confidence}"):
        mean_interval([0.1, 0.2], confidence)
