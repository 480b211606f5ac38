import itertools

import numpy as np
import pytest
import scipy.stats

from cnnlab.statistics import compare, iso_compute

SEEDS = 5


def run(accuracies, macs, step_seconds=None, **more):
    """Results of arms a, b, ... with these values a seed."""
    arms = []
    for place, (name, values) in enumerate(zip("abcdef", accuracies, strict=False)):
        seeds = [{"seed": s, "test_accuracy": v} for s, v in enumerate(values)]
        arm = {"name": name, "macs": macs[place], "seeds": seeds}
        if step_seconds is not None:
            arm["step_seconds"] = float(np.median(step_seconds[place]))
            for seed, value in zip(seeds, step_seconds[place], strict=True):
                seed["step_seconds"] = value
        for key, each in more.items():
            for seed, value in zip(seeds, each[place], strict=True):
                seed[key] = value
        arms.append(arm)
    return {"arms": arms}


def about(*means, spread=0.001, seed=0):
    noise = np.random.default_rng(seed).normal(0, spread, size=(len(means), SEEDS))
    return (np.array(means)[:, None] + noise).tolist()


def dominated(rows, **where):
    """By arm, those that dominate it, in the rows that have these values."""
    chosen = [row for row in rows if all(row[k] == v for k, v in where.items())]
    assert all(row["front"] == (not row["dominated_by"]) for row in chosen)
    return {row["arm"]: "".join(row["dominated_by"]) for row in chosen}


def test_better_and_no_dearer_dominates():
    results = run(about(0.95, 0.90, 0.97, 0.93), macs=[100, 100, 300, 300])
    found = dominated(iso_compute(results), cost="macs")
    assert found == {"a": "", "b": "a", "c": "", "d": "ac"}


def test_agrees_with_the_plain_front_where_all_is_known_exactly():
    generator = np.random.default_rng(1)
    means, macs = generator.uniform(0.5, 0.9, size=6), generator.integers(1, 5, size=6)
    results = run([[mean] * SEEDS for mean in means], macs=macs.tolist())
    wanted = {name: "" for name in "abcdef"}
    for (a, x), (b, y) in itertools.product(enumerate(means), repeat=2):
        if x > y and macs[a] <= macs[b]:
            wanted["abcdef"[b]] += "abcdef"[a]
    assert dominated(iso_compute(results)) == wanted


def test_what_is_not_resolved_does_not_dominate():
    accuracies = [[0.90, 0.92, 0.94, 0.91, 0.93], [0.91, 0.90, 0.92, 0.93, 0.90]]
    results = run(accuracies, macs=[100, 200])
    assert np.mean(accuracies[0]) > np.mean(accuracies[1])
    assert compare(results)[0]["verdict"] == "not resolved"
    assert dominated(iso_compute(results)) == {"a": "", "b": ""}


def test_equivalent_and_cheaper_dominates_where_that_is_asked():
    results = run(about(0.900, 0.9002, spread=0.0005), macs=[100, 200])
    assert compare(results, delta=0.005)[0]["verdict"] == "equivalent"
    assert dominated(iso_compute(results)) == {"a": "", "b": ""}
    assert dominated(iso_compute(results, delta=0.005)) == {"a": "", "b": "a"}
    same_cost = run(about(0.900, 0.9002, spread=0.0005), macs=[100, 100])
    assert dominated(iso_compute(same_cost, delta=0.005)) == {"a": "", "b": ""}


def test_small_but_resolved_gains_stay_on_the_front():
    results = run(about(0.900, 0.902, spread=0.0002), macs=[100, 200])
    (row,) = compare(results, delta=0.01)
    assert (row["verdict"], row["equivalent"]) == ("resolved", True)
    assert dominated(iso_compute(results, delta=0.01)) == {"a": "", "b": ""}


def test_measured_time_has_to_be_resolved_too():
    accuracies = about(0.95, 0.90)
    sure = run(accuracies, [1, 1], about(0.010, 0.020, spread=1e-4))
    found = dominated(iso_compute(sure), cost="step_seconds")
    assert found == {"a": "", "b": "a"}
    unsure = [[0.010, 0.030, 0.012, 0.011, 0.010], [0.020, 0.011, 0.010, 0.013, 0.021]]
    results = run(accuracies, [1, 1], unsure)
    found = dominated(iso_compute(results), cost="step_seconds")
    assert found == {"a": "", "b": ""}


def test_rows_tell_each_metric_and_cost_that_all_arms_have():
    accuracies, consistency = about(0.95, 0.90), about(0.7, 0.8)
    times = about(0.01, 0.02, spread=1e-4)
    results = run(accuracies, [1, 2], times, consistency=consistency)
    rows = iso_compute(results, confidence=0.9)
    assert {(row["metric"], row["cost"]) for row in rows} == set(
        itertools.product(("test_accuracy", "consistency"), ("macs", "step_seconds"))
    )
    (row,) = [
        row
        for row in rows
        if (row["metric"], row["cost"], row["arm"]) == ("consistency", "macs", "b")
    ]
    low, high = scipy.stats.t.interval(
        0.9, SEEDS - 1, np.mean(consistency[1]), scipy.stats.sem(consistency[1])
    )
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert (row["amount"], row["n"]) == (2, SEEDS)
    assert dominated(rows, metric="test_accuracy", cost="macs") == {"a": "", "b": "a"}
    assert dominated(rows, metric="consistency", cost="macs") == {"a": "", "b": ""}


def test_verdicts_are_those_of_the_comparisons_given():
    # Of these six pairs Holm resolves fewer than of the one that was asked about.
    spread = np.array([-2, -1, 0, 1, 2]) * 0.01
    accuracies = [0.9 + spread, 0.9 - spread, [0.881, 0.89, 0.892, 0.9, 0.911], [0.9]]
    accuracies[2] = 0.9 + spread - np.array([4, 6, 5, 7, 3]) * 0.004
    accuracies[3] = 0.9 + spread[::-1] * 1.1
    results = run([list(each) for each in accuracies], macs=[100, 100, 100, 100])
    asked = compare(results, pairs=[("a", "c")])
    (row,) = asked
    (among_all,) = [r for r in compare(results) if (r["a"], r["b"]) == ("a", "c")]
    assert among_all["p_holm"] > row["p_holm"]
    found = dominated(iso_compute(results, comparisons=asked, costs=["macs"]))
    assert found == {"a": "", "b": "", "c": "a", "d": ""}
    other = [{**row, "metric": "consistency"}]
    unasked = iso_compute(results, comparisons=other, metrics=["test_accuracy"])
    assert set(dominated(unasked).values()) == {""}


def test_one_seed_puts_every_arm_on_the_front():
    rows = iso_compute(run([[0.9], [0.1]], macs=[1, 2]))
    assert dominated(rows) == {"a": "", "b": ""}
    assert all(row["low"] is None for row in rows)


def test_leaves_out_a_cost_that_an_arm_lacks_unless_asked():
    results = run(about(0.95, 0.90), macs=[1, None])
    assert iso_compute(results) == []
    with pytest.raises(ValueError, match="b has no macs"):
        iso_compute(results, costs=["macs"])
    with pytest.raises(ValueError, match="has no consistency"):
        iso_compute(run(about(0.95, 0.90), [1, 2]), metrics=["consistency"])


def test_refuses_a_single_arm():
    for results in (run(about(0.9), macs=[1]), {"arms": []}, {}):
        for judge in (iso_compute, compare):
            with pytest.raises(ValueError, match="two or more"):
                judge(results)
