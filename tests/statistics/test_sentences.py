import pytest

from cnnlab.statistics import compare_pairs, sentence


def said(a, b, **options):
    (row,) = compare_pairs({"max_pool": a, "avg_pool": b}, **options)
    return sentence(row)


def test_resolved():
    assert said([0.92, 0.93, 0.91, 0.92], [0.90, 0.91, 0.89, 0.902]) == (
        "max_pool's test accuracy is 1.95 points above avg_pool's (95 % interval "
        "1.79 to 2.11, p < 0.001 by Holm): resolved."
    )


def test_the_interval_has_the_sign_of_the_sentence():
    assert said([0.90, 0.91, 0.89, 0.902], [0.92, 0.93, 0.91, 0.92]) == (
        "max_pool's test accuracy is 1.95 points below avg_pool's (95 % interval "
        "1.79 to 2.11, p < 0.001 by Holm): resolved."
    )


def test_resolved_and_small():
    words = said([0.9010, 0.9111, 0.8909], [0.90, 0.91, 0.89], delta=0.005)
    assert words.endswith("resolved, and within 0.50 points.")


def test_equivalent():
    near = [0.9004, 0.9097, 0.8901, 0.8798]
    words = said(near, [0.90, 0.91, 0.89, 0.88], delta=0.005)
    assert "0.00 points" not in words.split("(")[1]
    assert words.endswith("two one-sided tests): equivalent within 0.50 points.")


def test_not_resolved_tells_how_many_seeds_would_be_needed():
    a, b = [0.92, 0.90, 0.91], [0.90, 0.91, 0.89]
    (row,) = compare_pairs({"a": a, "b": b})
    words = f"not resolved; about {row['seeds_needed']} seeds would be needed."
    assert said(a, b).endswith(words)


def test_a_number_of_seeds_out_of_reach_is_not_counted():
    words = said([0.92, 0.90, 0.9101], [0.90, 0.92, 0.91])
    assert words.endswith("more than 1,000 seeds would be needed.")


def test_no_difference_asks_for_no_seeds():
    words = said([0.5, 0.75], [0.75, 0.5])
    assert words.startswith("max_pool and avg_pool have the same test accuracy (")
    assert words.endswith("): not resolved.")


def test_one_seed():
    assert said([0.92], [0.90]) == (
        "max_pool's test accuracy is 2.00 points above avg_pool's, with one seed: no "
        "interval is claimed."
    )


@pytest.mark.parametrize("metric", ["test_loss", "step_seconds"])
def test_what_is_no_fraction_is_told_in_its_own_unit(metric):
    words = said([0.5, 0.75, 0.25], [0.25, 0.5, 0.0], metric=metric)
    name = metric.replace("_", " ")
    assert words.startswith(f"max_pool's {name} is 0.25 above avg_pool's (")
    assert "points" not in words
