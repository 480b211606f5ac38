import json

import numpy as np
import pytest
import stored_runs

from cnnlab.statistics import compare, compare_pairs, crossed_bootstrap, mcnemar

NAMES = ["max_pool", "lp_pool(p=3.0)", "avg_pool"]
REPORTED = "a b metric difference low high p p_holm verdict seeds_needed".split()


@pytest.fixture
def run():
    """Hits, results and predictions of three arms over four seeds."""
    hits, labels = stored_runs.drawn_hits(NAMES, seeds=4, examples=60)
    return hits, *stored_runs.run_of(hits, labels)


def test_without_predictions_holds_the_paired_rows(run):
    hits, results, _ = run
    accuracies = {name: rows.mean(1) for name, rows in hits.items()}
    assert compare(results, delta=0.01) == compare_pairs(accuracies, delta=0.01)


def test_predictions_add_the_bootstrap_and_mcnemar(run):
    hits, results, predictions = run
    rows = compare(results, predictions, draws=300, seed=7)
    drawn = crossed_bootstrap(hits, draws=300, seed=7)
    for row, plain, of_pair in zip(rows, compare(results), drawn, strict=True):
        assert {key: row[key] for key in plain} == plain
        assert {"a": row["a"], "b": row["b"], **row["bootstrap"]} == of_pair
        assert row["bootstrap"]["difference"] == pytest.approx(row["difference"])
        for seed, test in enumerate(row["mcnemar"]):
            pair = hits[row["a"]][seed], hits[row["b"]][seed]
            assert test == {"seed": seed, **mcnemar(*pair)._asdict()}
            net_gain = (test["only_a"] - test["only_b"]) / 60
            assert net_gain == pytest.approx(pair[0].mean() - pair[1].mean())


def test_pairs_by_seed_numbers_whatever_their_order(run):
    _, results, predictions = run
    wanted = compare(results, predictions, draws=100)
    results["arms"][1]["seeds"].reverse()
    assert compare(results, predictions, draws=100) == wanted


def test_can_be_stored(run):
    _, results, predictions = run
    rows = compare(results, predictions, delta=0.02, draws=100)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert all(key in row for row in rows for key in REPORTED)


def test_one_seed_claims_no_interval():
    hits, labels = stored_runs.drawn_hits("ab", seeds=1, examples=50)
    (row,) = compare(*stored_runs.run_of(hits, labels), delta=0.1)
    assert row["verdict"] == "not resolved"
    assert row["low"] is row["high"] is row["p"] is row["equivalent"] is None
    assert row["bootstrap"]["low"] is row["bootstrap"]["high"] is None
    # That two given nets differ, one seed can tell.
    assert len(row["mcnemar"]) == 1


def change(results, predictions, what):
    """Does to a run what its name says, and gives the words that must come of it."""
    first, second = results["arms"][:2]
    net = predictions["max_pool"][2]
    if what == "one arm":
        del results["arms"][1:]
        return "two or more"
    if what == "no arms":
        results["arms"].clear()
        return "two or more"
    if what == "arms of one name":
        second["name"] = first["name"]
        return "two arms are named max_pool"
    if what == "fewer seeds":
        second["seeds"].pop()
        return "different seeds"
    if what == "a seed twice":
        second["seeds"][1]["seed"] = 0
        return "has a seed twice"
    if what == "no accuracy":
        second["seeds"][3]["test_accuracy"] = None
        return r"lp_pool\(p=3.0\) seed 3 has no test_accuracy"
    if what == "other beginnings":
        first["seeds"][1]["initial_params_hash"] = "1" * 64
        second["seeds"][1]["initial_params_hash"] = "2" * 64
        return "other initial parameters at seed 1"
    if what == "other batches":
        first["seeds"][0]["batches_hash"] = "1"
        second["seeds"][0]["batches_hash"] = "2"
        return "other batches at seed 0"
    if what == "no predictions of a net":
        del predictions["avg_pool"][1]
        return "predictions of avg_pool seed 1 are missing"
    if what == "no predictions of an arm":
        del predictions["avg_pool"]
        return "predictions of avg_pool seed 0 are missing"
    if what == "an incomplete file":
        del net["index"]
        return "predictions of max_pool seed 2 have no index"
    if what == "fewer logits":
        net["logits"] = net["logits"][:-1]
        return r"logits \(59, 10\), labels \(60,\)"
    if what == "logits that are not finite":
        net["logits"][7, 3] = np.inf
        return "logits of max_pool seed 2 are not finite"
    if what == "other data":
        net["dataset_fingerprint"] = "0" * 64
        return "max_pool seed 0 and max_pool seed 2 .* ffffffff and 00000000"
    if what == "other images":
        net["index"] = net["index"] + 1
        return "on different images"
    if what == "fewer images":
        for key in ("logits", "labels", "index"):
            net[key] = net[key][:50]
        return "60 and 50 images"
    if what == "another order":
        for key in ("logits", "labels", "index"):
            net[key] = net[key][::-1].copy()
        return "the same images in different orders"
    if what == "other labels":
        net["labels"][0] = (net["labels"][0] + 1) % 10
        return "with different labels"
    if what == "predictions of another run":
        net["logits"] = np.roll(net["logits"], 1, axis=1)
        return "predictions of max_pool seed 2 .* not of one run"
    raise AssertionError(what)


@pytest.mark.parametrize(
    "what",
    [
        "one arm",
        "no arms",
        "arms of one name",
        "fewer seeds",
        "a seed twice",
        "no accuracy",
        "other beginnings",
        "other batches",
        "no predictions of a net",
        "no predictions of an arm",
        "an incomplete file",
        "fewer logits",
        "logits that are not finite",
        "other data",
        "other images",
        "fewer images",
        "another order",
        "other labels",
        "predictions of another run",
    ],
)
def test_refuses_in_one_line(run, what):
    _, results, predictions = run
    words = change(results, predictions, what)
    with pytest.raises(ValueError, match=words) as refusal:
        compare(results, predictions)
    assert "\n" not in str(refusal.value)


def test_beginnings_matter_to_those_that_are_compared(run):
    _, results, _ = run
    for arm, start in zip(results["arms"], "112", strict=True):
        for seed in arm["seeds"]:
            seed["initial_params_hash"] = start
    assert len(compare(results, pairs=[NAMES[:2]])) == 1
    with pytest.raises(ValueError, match="other initial parameters"):
        compare(results, pairs=[NAMES[1:]])


def test_refuses_pairs_of_what_is_not_there(run):
    with pytest.raises(ValueError, match="pairs name 'median_pool'"):
        compare(run[1], pairs=[("max_pool", "median_pool")])
    with pytest.raises(ValueError, match="'max_pool' with itself"):
        compare(run[1], pairs=[("max_pool", "max_pool")])


def test_refuses_predictions_for_another_metric(run):
    _, results, predictions = run
    for arm in results["arms"]:
        for seed in arm["seeds"]:
            seed["test_loss"] = 0.5
    with pytest.raises(ValueError, match="the metric is test_loss"):
        compare(results, predictions, metric="test_loss")
