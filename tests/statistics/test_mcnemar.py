import numpy as np
import pytest
import scipy.stats

from cnnlab.statistics import mcnemar


def two_nets(only_a, only_b, both=7, neither=3):
    a = [True] * only_a + [False] * only_b + [True] * both + [False] * neither
    b = [False] * only_a + [True] * only_b + [True] * both + [False] * neither
    order = np.random.default_rng(0).permutation(len(a))
    return np.array(a)[order], np.array(b)[order]


@pytest.mark.parametrize("only_a", [0, 1, 9, 60, 2000])
@pytest.mark.parametrize("only_b", [1, 8, 75, 2100])
def test_equals_the_exact_binomial_test(only_a, only_b):
    found = mcnemar(*two_nets(only_a, only_b))
    wanted = scipy.stats.binomtest(only_a, only_a + only_b, 0.5).pvalue
    assert found[:2] == (only_a, only_b)
    np.testing.assert_allclose(found.p, wanted, rtol=1e-9)


@pytest.mark.parametrize("n", [1, 5, 40])
def test_examples_that_one_net_alone_gets_right(n):
    assert mcnemar(*two_nets(n, 0)).p == pytest.approx(2.0 ** (1 - n))


def test_what_both_get_right_or_wrong_does_not_matter():
    assert mcnemar(*two_nets(4, 11)) == mcnemar(*two_nets(4, 11, both=500, neither=90))


def test_nets_that_are_right_alike():
    assert mcnemar(*two_nets(0, 0)) == (0, 0, 1.0)
    assert mcnemar(*two_nets(6, 6)).p == 1


@pytest.mark.parametrize(
    "a, b",
    [
        (np.ones(3, bool), np.ones(4, bool)),
        (np.ones((2, 3), bool), np.ones((2, 3), bool)),
        (np.ones(3), np.ones(3)),
    ],
)
def test_refuses_what_is_not_two_rows_of_hits(a, b):
    with pytest.raises(ValueError, match="vectors of booleans of one length"):
        mcnemar(a, b)
