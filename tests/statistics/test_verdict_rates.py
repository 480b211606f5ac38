"""How often verdicts come out, on nets that were trained and on simulated ones.

Two hundred repetitions are to be independent, or a miscount of them would only repeat
one accident. Of the stored nets a repetition takes five beginnings, and tosses for each
which of its two nets is arm a's: given the images, beginnings are independent and the
toss makes the arms exchangeable, so that no pool of nets can favour one. The 50
beginnings are dealt out to ten repetitions that have no net in common, twenty times
over; two repetitions of different deals share half a beginning on average. Student's
verdict is about the images as they are, and sees all 2,000 each time; the bootstrap's
is about new ones, and sees 600 drawn anew. The slow test holds that the pool itself,
over many more deals, is an ordinary one: a count out of 200 is then a draw of its rate.
"""

import numpy as np
import pytest
import scipy.stats
import stored_nets

from cnnlab.statistics import compare_pairs, crossed_bootstrap

SEEDS, RUNS = 5, 200


@pytest.fixture(scope="module")
def nets():
    """Hits of the stored nets, (beginnings, orders, examples)."""
    return stored_nets.stored()[0]


def dealt(nets, generator, runs=RUNS):
    """Hits of two equal arms, (seeds, examples) each, `runs` times."""
    beginnings, orders, _ = nets.shape
    for first in range(0, runs, beginnings // SEEDS):
        deal = generator.permutation(beginnings)
        for group in deal.reshape(-1, SEEDS)[: runs - first]:
            toss = generator.integers(orders, size=SEEDS)
            yield nets[group, toss], nets[group, 1 - toss]


def simulated(generator, lost=0.0, runs=RUNS, examples=2000):
    """Hits of two arms of 90 %, of which b loses a share of examples, by a known model.

    A net is right where its skill exceeds the image's difficulty and a noise of their
    own; arms share the skill of a seed in part, and the difficulties.
    """
    spread = np.sqrt(1 + 0.05**2 + 0.5**2)
    thresholds = scipy.stats.norm.ppf([0.9, 0.9 - lost]) * spread
    for _ in range(runs):
        difficulty = generator.normal(size=examples)
        skill = generator.normal(size=(1, SEEDS)) * 0.04
        skill = skill + generator.normal(size=(2, SEEDS)) * 0.03
        noise = generator.normal(size=(2, SEEDS, examples)) * 0.5
        level = thresholds[:, None, None] + skill[..., None]
        yield level > difficulty + noise


def student_differs(a, b):
    (row,) = compare_pairs({"a": a.mean(1), "b": b.mean(1)})
    return row["verdict"] == "resolved"


def bootstrap_differs(a, b, seed):
    (row,) = crossed_bootstrap({"a": a, "b": b}, draws=300, seed=seed)
    return not row["low"] <= 0 <= row["high"]


def test_stored_nets_are_plausible(nets):
    accuracies = nets.mean(-1)
    assert nets.shape == (50, 2, 2000)
    assert 0.8 < accuracies.mean() < 0.97
    assert 0.002 < accuracies.std() < 0.02
    assert len(np.unique(nets.reshape(100, -1), axis=0)) == 100


def test_student_seldom_tells_equal_nets_apart(nets):
    arms = dealt(nets, np.random.default_rng(1))
    assert 4 <= sum(student_differs(a, b) for a, b in arms) <= 18


def test_bootstrap_seldom_tells_equal_nets_apart(nets):
    generator, found = np.random.default_rng(2), 0
    for run, (a, b) in enumerate(dealt(nets, generator)):
        images = generator.choice(nets.shape[-1], 600, replace=False)
        found += bootstrap_differs(a[:, images], b[:, images], seed=run)
    assert found <= 18


def test_two_points_are_found_among_stored_nets(nets):
    generator, found = np.random.default_rng(3), 0
    for a, b in dealt(nets, generator):
        # Right answers are lost at random, 2 % of all images on average.
        b = b & (generator.random(b.shape) >= 0.02 / nets.mean())
        (row,) = compare_pairs({"a": a.mean(1), "b": b.mean(1)})
        found += row["verdict"] == "resolved" and row["difference"] > 0
    assert found >= 160


def test_simulated_arms():
    generator = np.random.default_rng(4)
    equal = [student_differs(a, b) for a, b in simulated(generator)]
    assert 4 <= sum(equal) <= 18
    planted = [student_differs(a, b) for a, b in simulated(generator, lost=0.02)]
    assert sum(planted) >= 160


def test_bootstrap_seldom_tells_simulated_equal_arms_apart():
    arms = simulated(np.random.default_rng(5), examples=300)
    found = [bootstrap_differs(a, b, seed=run) for run, (a, b) in enumerate(arms)]
    assert sum(found) <= 18


def test_the_models_arms_are_as_far_apart_as_it_says():
    generator = np.random.default_rng(6)
    gaps = [a.mean() - b.mean() for a, b in simulated(generator, lost=0.02, runs=100)]
    assert np.mean(gaps) == pytest.approx(0.02, abs=4 * scipy.stats.sem(gaps))


@pytest.mark.slow
def test_the_stored_pool_is_an_ordinary_one(nets):
    arms = dealt(nets, np.random.default_rng(7), runs=8000)
    rate = np.mean([student_differs(a, b) for a, b in arms])
    assert 0.035 <= rate <= 0.065
