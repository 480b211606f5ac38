import re

from cnnlab.reporting import markdown, tables


def lines_of(page, head):
    """The rows of the first table with that cell first in its header."""
    lines = page.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {head} |"))
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines[start + 2 : end]]


def test_a_table_has_every_cell_in_its_column():
    text = markdown.table(["a", "b"], [["x|y", "1"], ["z", "2"]])
    assert text.splitlines() == [
        "| a | b |",
        "| --- | ---: |",
        "| x\\|y | 1 |",
        "| z | 2 |",
    ]


def test_the_page_holds_each_run_s_numbers_and_verdicts(results):
    made = results | {"environment": {"date": "2026-01-01"}, "figures": []}
    page = markdown.page({"first": made, "second": made})
    _, rows = tables.summary_rows(made)
    for row in rows:
        assert page.count(f"| {' | '.join(row)} |") == 2
    resolved = sum(pair["verdict"] == "resolved" for pair in made["comparisons"])
    for row, folder in zip(lines_of(page, "run"), ("first", "second"), strict=True):
        assert f"[{folder}]({folder}/)" in row[0]
        assert int(row[-2]) == resolved
        assert int(row[-1]) == len(made["comparisons"])
    assert made["command"] in page
    assert page.count("adjusted by Holm for all pairs") == 2


def test_of_one_seed_no_interval_is_claimed(make_results):
    made = make_results(["max_pool", "avg_pool"], 1)
    made |= {"environment": {"date": "2026-01-01"}, "figures": []}
    page = markdown.page({"single": made})
    assert "One seed: no interval, no test." in page
    told = page.replace("no interval", "").replace("interval is claimed", "")
    assert "interval" not in told and "±" not in told and "Holm" not in told
