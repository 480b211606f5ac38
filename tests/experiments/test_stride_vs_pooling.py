"""All-CNN's twelve nets: what is trained, refused, and told of them."""

import dataclasses
import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from cnnlab import data
from cnnlab.errors import UserError
from cnnlab.reporting import sections, verdicts
from cnnlab.statistics import mean_interval
from experiments import stride_vs_pooling
from experiments.comparing import judging
from experiments.harness import flags
from experiments.stride_vs_pooling import NETS, VARIANTS, Config
from experiments.striving import orders, tables
from experiments.striving.published import ERRORS, SECOND_HAND

SMALL = Config(
    variants=("a",),
    nets=("base", "strided"),
    width=0.02,
    train_examples=40,
    batch_size=8,
    steps=3,
    seeds=2,
    learning_rates=(0.01,),
    reach=1,
    shift_examples=4,
    progress="none",
)


@pytest.fixture
def few_images(monkeypatch):
    """Glyphs of the paper's size, few of them to test on."""
    load = data.load
    monkeypatch.setattr(
        data, "load", lambda *args, **more: load(*args, **more, test_examples=20)
    )


def made_up(variants=VARIANTS, nets=NETS, seeds=5):
    """Results in which every net of a later variant is better, seeds a little noisy."""
    generator = np.random.default_rng(0)
    arms = []
    for variant, net in itertools.product(variants, nets):
        name = f"{net}_{variant}"
        accuracy = 1 - ERRORS[name] + generator.normal(0, 0.004, seeds)
        rolled = 0.5 + generator.normal(0, 0.05, seeds)
        arms.append(
            {
                "name": name,
                "parameters": 1_000,
                "macs": {"base": 4, "strided": 1, "conv_pool": 8, "all_cnn": 5}[net],
                "step_seconds": 0.5,
                "test_accuracy": mean_interval(accuracy)._asdict(),
                "circular_consistency": mean_interval(rolled)._asdict(),
                "seeds": [
                    {"seed": k, "test_accuracy": a, "circular_consistency": r}
                    for k, (a, r) in enumerate(zip(accuracy, rolled, strict=True))
                ],
            }
        )
    return {
        "arms": arms,
        "config": {"width": 0.125, "dropout": 0.0},
        "dataset": {"name": "glyphs"},
    }


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"width": 1.0, "dropout": 1.0}, "on glyphs, by the paper's nets; errors"),
        ({"width": 0.5, "dropout": 1.0}, "by nets 0.5 times as wide; errors"),
        ({"width": 0.5, "dropout": 0.1}, "as wide with 0.1 times the dropout; errors"),
        ({"width": 1.0, "dropout": 0.0}, "by the paper's nets without dropout; errors"),
    ],
)
def test_the_note_says_in_what_the_nets_are_not_the_papers(config, words):
    assert words in tables.printed(made_up() | {"config": config})["note"]


METRICS = "test_accuracy", "circular_consistency"


@pytest.mark.slow
def test_arms_of_equal_parameters_differ_in_the_pool_alone(tmp_path, few_images):
    config = dataclasses.replace(SMALL, workdir=str(tmp_path / "run"))
    results = stride_vs_pooling.run(config)
    base, strided = results["arms"]
    assert [base["name"], strided["name"]] == ["base_a", "strided_a"]
    assert base["parameters"] == strided["parameters"]
    assert base["macs"] > strided["macs"]
    for of_base, of_strided in zip(base["seeds"], strided["seeds"], strict=True):
        for shared in ("initial_params_hash", "batches_hash"):
            assert of_base[shared] == of_strided[shared]
        assert of_base["params_hash"] != of_strided["params_hash"]
        for name in ("circular_consistency", "zero_consistency"):
            assert 0 <= of_base[name] <= 1
    page = (tmp_path / "run" / "report.html").read_text()
    for table in results["tables"]:
        assert table["title"] in page
    assert "12.47" in page and "13.46" in page
    assert "figures/cost_scatter.svg" in results["figures"]
    # What is finished is not made again.
    assert stride_vs_pooling.run(config) == json.loads(json.dumps(results))


def test_the_short_form_has_the_nets_of_one_variant():
    config = flags.checked(Config())
    assert [arm.name for arm in config.arms()] == [f"{net}_c" for net in NETS]
    every = flags.checked(Config(variants=VARIANTS))
    assert {arm.name for arm in every.arms()} == set(ERRORS)


def test_glyphs_are_drawn_as_large_as_the_papers_images():
    assert Config().image_size == 32
    # Of other sets the loader takes no size but its own default.
    assert Config(dataset="cifar10").image_size == 28
    assert "--image_size" not in flags.help_text(Config, "Usage.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variants": ()}, "variants: is empty"),
        ({"nets": ()}, "nets: is empty"),
        ({"variants": ("d",)}, "variants: 'd' is not one of a, b, c"),
        ({"nets": ("pool",)}, "nets: 'pool' is not one of base, strided, conv_pool, "),
        ({"nets": ("base", "base")}, "nets: base is given twice"),
        ({"width": 0.0}, "width: .*from 0.01 to 1, .* got 0.0"),
        ({"width": 2.0}, "width: .*from 0.01 to 1, .* got 2.0"),
        ({"dropout": 1.5}, "dropout: 1.5 is not from 0 to 1"),
        ({"dropout": math.nan}, "dropout: nan is not from 0 to 1"),
        ({"reach": 0}, "reach: 0 is less than 1"),
        ({"reach": 32}, "reach: 32 is not less than the images' 32 pixels"),
        ({"shift_examples": 0}, "shift_examples: 0 is less than 1"),
        ({"dataset": "no_set"}, "dataset: "),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path, change, message):
    config = dataclasses.replace(SMALL, workdir=str(tmp_path / "run"), **change)
    with pytest.raises(UserError, match=f"^{message}") as caught:
        stride_vs_pooling.run(config)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_images_of_another_size_are_refused_with_both_sizes(tmp_path, monkeypatch):
    split = data.Split(np.zeros((200, 28, 28, 1), np.uint8), np.zeros(200, np.int32))
    small = data.Dataset("mnist", split, split, ("a", "b"), "0" * 64)
    monkeypatch.setattr(data, "load", lambda *args, **more: small)
    config = dataclasses.replace(SMALL, dataset="mnist", workdir=str(tmp_path / "run"))
    message = "^dataset: mnist has 28x28 images; .* 32x32 ones, whose last map is 6x6$"
    with pytest.raises(UserError, match=message):
        stride_vs_pooling.run(config)
    assert not (tmp_path / "run").exists()


def test_the_printed_errors_have_the_order_that_the_paper_tells_of():
    for variant, pairs in itertools.product(VARIANTS, orders.CLAIMS.values()):
        for worse, better in pairs:
            assert ERRORS[f"{worse}_{variant}"] > ERRORS[f"{better}_{variant}"]
    assert set(SECOND_HAND) < set(ERRORS)


def judged(results, config, monkeypatch):
    """The results with their comparisons, but for what predictions tell."""
    monkeypatch.setattr(judging, "load_predictions", lambda *_: None)
    found = judging.judged(
        results,
        SimpleNamespace(path=None),
        metrics=METRICS[1:],
        delta=0.01,
        families=config.families(),
    )
    return results | found


def test_pairs_are_those_within_a_variant():
    found = orders.pairs(arm["name"] for arm in made_up()["arms"])
    wanted = {
        frozenset({f"{a}_{variant}", f"{b}_{variant}"})
        for variant in VARIANTS
        for a, b in itertools.combinations(NETS, 2)
    }
    assert {frozenset(pair) for pair in found} == wanted
    assert len(found) == len(wanted) == 18
    assert orders.pairs(["base_a", "base_b"]) == []
    assert Config(variants=VARIANTS, nets=("base",)).families() == {}


def test_a_pair_has_one_verdict_in_everything_that_is_told(monkeypatch):
    results = judged(made_up(), Config(variants=VARIANTS), monkeypatch)
    rows = orders.compared(results)
    assert len(rows) == len(results["comparisons"]) == 2 * 18
    assert {row["family"] for row in rows.values()} == {orders.FAMILY}
    order, equal = tables.all_of(results, rows)[1:]
    for table in (order, equal):
        assert orders.FAMILY in table["note"]
    assert orders.FAMILY in sections.differences(results)
    by_pair = {row[0]: row for row in order["rows"]}
    header, compared = verdicts.comparison_rows(results["comparisons"][:18])
    place = header.index("p (Holm)")
    assert [by_pair[row[0]][3] for row in compared] == [row[place] for row in compared]
    # Nothing is held against a net of another variant.
    for row in results["iso_compute"]:
        variants = {name[-1] for name in (row["arm"], *row["dominated_by"])}
        assert len(variants) == 1


def test_holm_adjusts_for_the_pairs_that_are_asked_about(monkeypatch):
    results = judged(made_up(), Config(variants=VARIANTS), monkeypatch)
    rows = orders.compared(results)
    seeds = {arm["name"]: arm["seeds"] for arm in results["arms"]}
    for metric in METRICS:
        p = {
            (a, b): stats.ttest_rel(
                [seed[metric] for seed in seeds[a]], [seed[metric] for seed in seeds[b]]
            ).pvalue
            for a, b in orders.pairs(seeds)
        }
        least = 0.0
        for place, pair in enumerate(sorted(p, key=p.get)):
            least = min(1.0, max(least, (18 - place) * p[pair]))
            assert rows[(metric, *pair)]["p_holm"] == pytest.approx(least)


def test_claims_are_told_by_their_verdicts():
    results = made_up(variants=("c",))

    def row(difference, verdict):
        return {"difference": difference, "verdict": verdict}

    rows = {
        ("test_accuracy", "strided_c", "base_c"): row(-0.01, "resolved"),
        ("test_accuracy", "strided_c", "conv_pool_c"): row(-0.01, "resolved"),
        ("test_accuracy", "strided_c", "all_cnn_c"): row(-0.01, "not resolved"),
        ("test_accuracy", "base_c", "conv_pool_c"): row(0.01, "resolved"),
        ("test_accuracy", "base_c", "all_cnn_c"): row(-0.001, "equivalent"),
    }
    worst, larger = orders.told(rows, results)
    assert worst == (
        "The paper's order of C, that strided is the worst, is here resolved for base "
        "and conv_pool; not resolved for all_cnn."
    )
    assert larger == (
        "The paper's order of C, that conv_pool and all_cnn beat base, is here "
        "reversed for conv_pool; equivalent for all_cnn."
    )
    rows[("test_accuracy", "all_cnn_c", "conv_pool_c")] = row(0.0025, "equivalent")
    assert orders.replaced(rows, results) == [
        "C with a stride in place of each pool, at equal parameters: test accuracy "
        "−1.00 points (strided − base, resolved) and +0.25 points (all_cnn − "
        "conv_pool, equivalent)."
    ]
    # Of one net of each pair there is nothing to say.
    one_each = made_up(variants=("c",), nets=("strided", "all_cnn"))
    assert orders.replaced(rows, one_each) == []


def test_tables_have_every_net_and_say_what_was_quoted(monkeypatch):
    results = judged(made_up(), Config(variants=VARIANTS), monkeypatch)
    rows = orders.compared(results)
    printed, order, equal = tables.all_of(results, rows)
    assert [row[0] for row in printed["rows"]] == [a["name"] for a in results["arms"]]
    for name, error, *_ in printed["rows"]:
        assert float(error.rstrip("†")) == pytest.approx(100 * ERRORS[name])
        assert error.endswith("†") == (name not in SECOND_HAND)
    assert "CIFAR-10 without augmentation" in printed["note"]
    assert len(order["rows"]) == 18
    by_pair = {row[0]: row[1] for row in order["rows"]}
    assert by_pair["strided_a − base_a"] == "−0.99"
    assert by_pair["all_cnn_b − conv_pool_b"] == "+0.23"
    assert [row[0] for row in equal["rows"]] == [
        f"{a}_{v} − {b}_{v}"
        for v in VARIANTS
        for a, b in (("strided", "base"), ("all_cnn", "conv_pool"))
    ]
    assert equal["rows"][0][-2] == "0.25x"
    for table in (printed, order, equal):
        assert {len(row) for row in table["rows"]} == {len(table["header"])}


def test_of_one_seed_no_interval_is_claimed(monkeypatch):
    config = Config(variants=("b",))
    results = judged(made_up(("b",), seeds=1), config, monkeypatch)
    for table in tables.all_of(results, orders.compared(results)):
        assert "interval" not in table["note"].replace("One seed: no interval", "")
        assert "±" not in table["note"] and "Holm" not in table["note"]
        assert not any("±" in cell for row in table["rows"] for cell in row)


def test_one_net_has_nothing_to_be_compared_with(monkeypatch):
    config = Config(variants=("b",), nets=("base",))
    results = judged(made_up(config.variants, config.nets), config, monkeypatch)
    rows = orders.compared(results)
    assert rows == {}
    assert [t["title"] for t in tables.all_of(results, rows)] == [
        "What the paper printed, and what was found"
    ]
