import html

import pytest

from cnnlab.reporting import answers, report, sections, verdicts
from cnnlab.statistics import compare_pairs, mean_interval, sentence

STEADY = [0.900, 0.902, 0.904]
BELOW = [0.880, 0.883, 0.884]
NEARLY = [0.9012, 0.9019, 0.9041]


def results_of(accuracies, consistencies, delta=0.01):
    """Arms compared in two metrics, each row with its sentence."""
    arms = [
        {
            "name": name,
            "test_accuracy": mean_interval(values)._asdict(),
            "circular_consistency": mean_interval(consistencies[name])._asdict(),
        }
        for name, values in accuracies.items()
    ]
    rows = compare_pairs(accuracies, delta=delta) + compare_pairs(
        consistencies, metric="circular_consistency", delta=delta
    )
    rows = [{**row, "sentence": sentence(row)} for row in rows]
    return {"arms": arms, "comparisons": rows}


TWO = results_of({"top": STEADY, "low": BELOW}, {"top": BELOW, "low": STEADY})


def test_each_metric_has_its_sentence_in_the_answer():
    first, second = answers.answer(TWO).split(". ")
    assert first.startswith("Of top and low, top has the highest mean test accuracy")
    assert second.startswith("low has the highest consistency under circular shifts")
    assert second.endswith("; its lead is resolved over top.")
    three = {"top": STEADY, "near": NEARLY, "low": BELOW}
    other = {"top": BELOW, "near": STEADY, "low": [0.90, 0.89, 0.91]}
    answer = answers.answer(results_of(three, other))
    assert answer.endswith("; its lead is resolved over top alone.")


def test_arms_that_are_equivalent_are_said_to_be():
    results = results_of(
        {"top": STEADY, "near": NEARLY}, {"top": STEADY, "near": BELOW}
    )
    assert results["comparisons"][0]["verdict"] == "equivalent"
    answer = answers.answer(results)
    assert "it is equivalent to top (0.04 points) within 1.00 points" in answer
    many = {f"arm{i}": [v - 0.01 * i for v in STEADY] for i in range(5)}
    many["arm9"] = NEARLY
    answer = answers.answer(results_of(many, many))
    assert "it is equivalent to 1 of them within 1.00 points" in answer


def test_the_section_says_each_verdict_in_words_by_metric():
    section = sections.differences(TWO)
    for row in TWO["comparisons"]:
        assert html.escape(row["sentence"]) in section
    assert section.count("<h3>") == 2
    assert section.count("<table>") == 2
    accuracy = {**TWO, "comparisons": TWO["comparisons"][:1]}
    assert "<h3>" not in sections.differences(accuracy)


def test_evidence_stands_beside_the_verdict():
    (row,) = TWO["comparisons"][:1]
    assert verdicts.evidence_rows([row]) is None
    p_values = [0.2, 0.0001, 0.5]
    row = row | {
        "bootstrap": {"low": 0.01, "high": 0.03},
        "mcnemar": [{"seed": seed, "p": p} for seed, p in enumerate(p_values)],
    }
    header, (cells,) = verdicts.evidence_rows([row])
    assert len(header) == len(cells)
    assert cells[1:3] == ["+1.00 to +3.00", "0.200, < 0.001, 0.500"]
    assert float(cells[3]) == pytest.approx(row["variance_ratio"], abs=0.005)
    row["mcnemar"] *= 2
    assert verdicts.evidence_rows([row])[1][0][2] == "< 0.001 to 0.500 over 6 seeds"


def test_costs_say_who_beats_whom():
    rows = [
        {
            "metric": "test_accuracy",
            "cost": cost,
            "arm": arm,
            "mean": 0.9,
            "low": None,
            "high": None,
            "amount": amount,
            "dominated_by": above,
        }
        for arm, above, amounts in (("a", [], (1000, 0.5)), ("b", ["a"], (2000, 0.2)))
        for cost, amount in zip(("macs", "step_seconds"), amounts, strict=True)
    ]
    header, cells = verdicts.cost_rows(rows)
    assert {len(row) for row in cells} == {len(header)}
    assert cells[0] == ["a", "test accuracy", "90.00", "1,000", "none", "500", "none"]
    assert cells[1] == ["b", "test accuracy", "90.00", "2,000", "a", "200", "a"]


def test_figures_of_an_experiments_own_stand_first(tmp_path, make_results, results):
    from cnnlab.reporting import figures

    own = {"own": report.Drawing(figures.accuracy(results), "What I alone measured.")}
    path = report.write(tmp_path, results, [], own)
    assert report.figure_paths(results, [], own)[:2] == [
        "figures/own.svg",
        "figures/own.png",
    ]
    assert (tmp_path / "figures" / "own.png").stat().st_size > 1000
    assert "<b>Figure 1.</b> What I alone measured." in path.read_text()
