import pytest

from cnnlab.reporting import answers, wording
from cnnlab.statistics import compare_pairs, mean_interval


def results_of(arms):
    return {
        "arms": [
            {"name": name, "test_accuracy": mean_interval(values)._asdict()}
            for name, values in arms.items()
        ],
        "comparisons": compare_pairs(arms) if len(arms) > 1 else [],
    }


STEADY = [0.900, 0.902, 0.904]
BELOW = [0.880, 0.883, 0.884]
NEARLY = [0.901, 0.900, 0.903]


def test_resolved_and_unresolved_leads_are_told_apart():
    results = results_of({"low": BELOW, "near": NEARLY, "top": STEADY})
    verdicts = {(row["a"], row["b"]): row["verdict"] for row in results["comparisons"]}
    assert verdicts[("low", "top")] == "resolved"
    assert verdicts[("near", "top")] == "not resolved"
    answer = answers.answer(results)
    assert answer.startswith("Of low, near and top, top has the highest mean")
    resolved, unresolved = answer.split(" is resolved, ")
    assert "over low (1.97 points)" in resolved
    assert "over near (0.07 points; about" in unresolved
    assert unresolved.endswith("is not.")


@pytest.mark.parametrize(
    "other, end", [(BELOW, ") is resolved."), (NEARLY, ") is not resolved.")]
)
def test_one_lead(other, end):
    assert answers.answer(results_of({"top": STEADY, "other": other})).endswith(end)


def test_seeds_are_asked_for_where_they_would_help():
    results = results_of({"top": STEADY, "near": NEARLY})
    needed = results["comparisons"][0]["seeds_needed"]
    assert f"about {needed} seeds would be needed" in answers.answer(results)
    equal = results_of({"top": STEADY, "twin": STEADY})
    assert "needed" not in answers.answer(equal)


def test_many_arms_are_counted():
    arms = {f"arm{i}": [value - 0.01 * i for value in STEADY] for i in range(6)}
    answer = answers.answer(results_of(arms))
    assert answer.startswith("Of the 6 arms, arm0")
    assert answer.endswith("its lead is resolved over each of the others.")
    arms["arm1"] = NEARLY
    answer = answers.answer(results_of(arms))
    assert "resolved over arm2, arm3, arm4 and arm5, but not over arm1 (" in answer


def test_one_seed_tells_nothing_from_chance():
    answer = answers.answer(results_of({"a": [0.9], "b": [0.8]}))
    assert "interval" not in answer
    assert answer.endswith("With one seed no difference can be told from chance.")


def test_one_arm_is_compared_with_nothing():
    answer = answers.answer(results_of({"alone": STEADY}))
    assert answer.startswith("alone has a mean test accuracy of 90.20")
    assert "over 3 seeds" in answer


@pytest.mark.parametrize(
    "words, text",
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (list("abc"), "a, b and c")],
)
def test_lists_read_as_english(words, text):
    assert wording.listed(words) == text


@pytest.mark.parametrize(
    "seconds, text",
    [(0.00123, "1.23"), (0.0123, "12.3"), (1.5, "1,500"), (None, wording.ABSENT)],
)
def test_milliseconds_have_about_three_digits(seconds, text):
    assert wording.milliseconds(seconds) == text


@pytest.mark.parametrize(
    "p, text", [(0, "< 0.001"), (0.05, "0.050"), (1, "1.000"), (None, wording.ABSENT)]
)
def test_small_probabilities_are_bounded(p, text):
    assert wording.probability(p) == text
