import itertools

import numpy as np
import pytest
import scipy.stats

from cnnlab.statistics import compare_pairs, crossed_bootstrap


def crossed(generator, seeds, examples, of_seeds, of_examples, of_both):
    """Differences with the three variance components given as deviations."""
    return (
        of_seeds * generator.normal(size=(seeds, 1))
        + of_examples * generator.normal(size=(1, examples))
        + of_both * generator.normal(size=(seeds, examples))
    )


def pair_row(differences, **options):
    arms = {"a": differences, "b": np.zeros_like(differences)}
    (row,) = crossed_bootstrap(arms, **options)
    return row


def closed_form(d):
    """The variance of all draws, from the counts' covariances."""
    seeds, examples = d.shape
    rows, columns = d.mean(1, keepdims=True), d.mean(0, keepdims=True)
    return (
        ((rows - d.mean()) ** 2).sum() / seeds**2
        + ((columns - d.mean()) ** 2).sum() / examples**2
        + ((d - rows - columns + d.mean()) ** 2).sum() / d.size**2
    )


def test_closed_form_is_the_variance_of_every_possible_draw():
    d = np.random.default_rng(0).normal(size=(3, 4))
    draws = [
        d[np.ix_(seeds, examples)].mean()
        for seeds in itertools.product(range(3), repeat=3)
        for examples in itertools.product(range(4), repeat=4)
    ]
    np.testing.assert_allclose(np.var(draws), closed_form(d))


@pytest.mark.parametrize("parts", [(1, 0, 0), (0, 5, 0), (0, 0, 5), (0.3, 2, 4)])
def test_draws_have_the_variance_of_the_pigeonhole_bootstrap(parts):
    d = crossed(np.random.default_rng(1), 5, 60, *parts)
    row = pair_row(d, draws=20_000)
    # A sample deviation of 20,000 draws is right to about 0.5 %, or 0.7 %, as those
    # of few seeds have lighter or heavier tails than a normal's.
    np.testing.assert_allclose(row["deviation"], np.sqrt(closed_form(d)), rtol=0.03)
    assert row["difference"] == pytest.approx(d.mean())


def test_overcounts_what_is_of_one_seed_on_one_example():
    generator = np.random.default_rng(2)
    seeds, examples, parts = 5, 50, (0.1, 0.5, 1.0)
    expected = np.mean(
        [closed_form(crossed(generator, seeds, examples, *parts)) for _ in range(2000)]
    )
    s, e, r = np.square(parts) / (seeds, examples, seeds * examples)
    promised = s * (1 - 1 / seeds) + e + r * (3 - 2 / seeds)
    assert expected == pytest.approx(promised, rel=0.03)
    assert promised > s + e + r


def test_is_about_students_interval_where_seeds_alone_matter():
    d = crossed(np.random.default_rng(3), 12, 20, 1, 0, 0)
    found = pair_row(d, draws=20_000)
    (wanted,) = compare_pairs({"a": d.mean(1), "b": np.zeros(12)})
    width = wanted["high"] - wanted["low"]
    assert found["low"] == pytest.approx(wanted["low"], abs=0.05 * width)
    assert found["high"] == pytest.approx(wanted["high"], abs=0.05 * width)


@pytest.mark.parametrize(
    "parts", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.05, 0.5, 1)], ids=str
)
def test_covers_the_truth_for_new_seeds_and_examples(parts):
    generator, runs = np.random.default_rng(4), 200
    missed = 0
    for _ in range(runs):
        row = pair_row(crossed(generator, 5, 100, *parts), draws=400)
        missed += not row["low"] <= 0 <= row["high"]
    tail = scipy.stats.binomtest(missed, runs, 0.05, alternative="greater").pvalue
    assert tail > 1e-3


def test_finds_a_difference_well_beyond_its_noise():
    d = 1 + crossed(np.random.default_rng(9), 5, 400, 0.1, 1, 1)
    row = pair_row(d)
    assert 0 < row["low"] < row["difference"] < row["high"] < 2


def test_examples_widen_what_seeds_alone_would_claim():
    d = crossed(np.random.default_rng(5), 5, 40, 0.01, 3, 0)
    found = pair_row(d)
    (student,) = compare_pairs({"a": d.mean(1), "b": np.zeros(5)})
    assert found["high"] - found["low"] > 10 * (student["high"] - student["low"])


def test_all_pairs_of_arms_share_their_draws():
    generator = np.random.default_rng(6)
    arms = {name: generator.random((3, 30)) < 0.8 for name in "abc"}
    together = crossed_bootstrap(arms, seed=5)
    assert [(row["a"], row["b"]) for row in together] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    (alone,) = crossed_bootstrap({name: arms[name] for name in "ac"}, seed=5)
    assert alone == pytest.approx(together[1])
    assert crossed_bootstrap(arms, pairs=[("c", "a")], seed=5)[0][
        "low"
    ] == pytest.approx(-alone["high"])


def test_is_a_function_of_its_seed():
    d = crossed(np.random.default_rng(7), 4, 30, 1, 1, 1)
    assert pair_row(d, seed=1) == pair_row(d, seed=1)
    assert pair_row(d, seed=1)["low"] != pair_row(d, seed=2)["low"]


def test_identical_arms():
    hits = np.random.default_rng(8).random((5, 50)) < 0.7
    (row,) = crossed_bootstrap({"a": hits, "b": hits.copy()})
    assert (row["difference"], row["low"], row["high"]) == (0, 0, 0)


def test_one_seed_claims_no_interval():
    row = pair_row(np.ones((1, 9)))
    assert row["difference"] == 1
    assert row["low"] is row["high"] is row["deviation"] is None


@pytest.mark.parametrize(
    "arms, words",
    [
        ({"a": np.ones((2, 3)), "b": np.ones((2, 4))}, "unequal shapes"),
        ({"a": np.ones(3), "b": np.ones(3)}, r"a has shape \(3,\)"),
        ({"a": np.ones((2, 0)), "b": np.ones((2, 0))}, r"a has shape \(2, 0\)"),
        ({"a": np.ones((2, 3)), "b": np.full((2, 3), np.nan)}, "b has values"),
        ({"a": np.ones((2, 3))}, r"^arms \['a'\]; two or more are wanted"),
        ({}, r"^arms \[\]; two or more are wanted"),
    ],
)
def test_refuses_what_cannot_be_paired(arms, words):
    with pytest.raises(ValueError, match=words):
        crossed_bootstrap(arms)


def test_refuses_too_few_draws_and_unknown_arms():
    arms = {"a": np.ones((2, 3)), "b": np.ones((2, 3))}
    with pytest.raises(ValueError, match="draws 99"):
        crossed_bootstrap(arms, draws=99)
    with pytest.raises(ValueError, match="'c'"):
        crossed_bootstrap(arms, pairs=[("a", "c")])
