import copy
import re
from html.parser import HTMLParser

import pytest

from cnnlab.reporting import answers, report, tables, verdicts

VOID = {"meta", "link", "br", "wbr"}


class Page(HTMLParser):
    """The text, tags, attributes and tables of a page; an error where tags cross."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []
        self.text, self.cells = "", []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def written(directory, results, metrics):
    path = report.write(directory, results, metrics)
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def example(tmp_path_factory, make_results, make_metrics):
    """A directory, and what was written into it."""
    directory = tmp_path_factory.mktemp("run")
    results = make_results(["max_pool", "avg_pool", "stochastic_pool"], seeds=5)
    metrics = make_metrics(results)
    report.write(directory, results, metrics)
    return directory, results, metrics


@pytest.fixture
def results(example):
    return copy.deepcopy(example[1])


@pytest.fixture
def html(example):
    return (example[0] / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def page(html):
    return Page(html)


def test_holds_question_answer_command_and_notes(page, results):
    assert results["question"] in page.text
    assert answers.answer(results) in page.text
    assert results["command"] in page.text
    for note in results["notes"]:
        assert note in page.text


def test_holds_the_numbers_of_every_arm_and_pair(page, results):
    for header, rows in (
        tables.summary_rows(results),
        verdicts.comparison_rows(results["comparisons"]),
    ):
        for cell in [*header, *(cell for row in rows for cell in row)]:
            assert cell in page.cells


def test_holds_configuration_and_environment(page, results):
    assert set(results["config"]) | set(results["environment"]) < set(page.cells)
    assert results["config_hash"] in page.cells


def test_tells_what_went_by_before_the_first_step(example, page):
    _, results, _ = example
    assert "first step ended" not in page.text
    started = {"first_step_seconds": 4.25, "compile_seconds": 2.5}
    html = report.page_of(results | started | {"programs_compiled": 1}, [])
    assert "first step ended 4.2 seconds after the start, for which 1 program" in html
    assert "nets that it trained took 2.5 seconds" in html
    # A run that had nothing left to do made no step.
    nothing = dict.fromkeys((*started, "programs_compiled"))
    assert "first step ended" not in report.page_of(results | nothing, [])


def test_asks_for_nothing_and_runs_nothing(html):
    assert not re.search(r"https?:|//\w|@import|<script|javascript:", html)
    page = Page(html)
    assert not {"script", "iframe", "object", "embed", "img", "base"} & set(page.tags)
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("href", "src", "xlink:href"):
            assert value.startswith(("#", "data:,"))
    assert all(url.startswith("#") for url in re.findall(r"url\((.*?)\)", html))


def test_figures_inside_share_no_identifier_and_refer_to_their_own(page):
    names = [value for name, value in page.attributes if name == "id"]
    assert len(names) == len(set(names))
    used = [value for name, value in page.attributes if name == "xlink:href"]
    used += re.findall(r"url\((#[^)]*)\)", " ".join(str(v) for _, v in page.attributes))
    assert used and {each.removeprefix("#") for each in used} <= set(names)


def test_figures_are_numbered_described_and_kept_as_files(example, page):
    directory, results, metrics = example
    assert page.tags.count("svg") == page.tags.count("figcaption") == 4
    assert len([name for name, _ in page.attributes if name == "aria-label"]) >= 4
    for number in range(1, 5):
        assert f"Figure {number}." in page.text
    paths = report.figure_paths(results, metrics)
    kept = {f"figures/{path.name}" for path in (directory / "figures").iterdir()}
    assert set(paths) == kept
    assert len(paths) == 8
    assert {path.name for path in directory.iterdir()} == {"figures", "report.html"}


HOSTILE = "</td><script>alert('1')</script>&amp;\"--><b>"


def test_text_is_never_taken_for_markup(tmp_path, make_results, make_metrics):
    results = make_results([HOSTILE, "max_pool"], seeds=2)
    results |= {"question": HOSTILE + "?", "command": f"run --pools={HOSTILE}"}
    results |= {"notes": [HOSTILE], "environment": {HOSTILE: HOSTILE}}
    page = written(tmp_path, results, make_metrics(results))
    assert "script" not in page.tags
    assert HOSTILE + "?" in page.text
    assert results["command"] in page.text
    assert HOSTILE in page.cells


def test_the_same_run_gives_the_same_bytes(tmp_path, example):
    directory, results, metrics = example
    report.write(tmp_path, results, metrics)
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert len(files) == 9
    for path in files:
        again = tmp_path / path.relative_to(directory)
        assert again.read_bytes() == path.read_bytes(), path.name


def test_a_report_is_replaced(tmp_path, make_results):
    results = make_results(["max_pool"], seeds=1, rates=(0.1,), shifts=False)
    path = report.write(tmp_path, results, [])
    results["question"] = "Another question?"
    assert report.write(tmp_path, results, []) == path
    assert "Another question?" in path.read_text(encoding="utf-8")


def test_one_seed_claims_nothing(tmp_path, make_results, make_metrics):
    results = make_results(["max_pool", "avg_pool"], seeds=1)
    page = written(tmp_path, results, make_metrics(results))
    assert "One seed: no interval." in page.text
    assert "±" not in page.text
    assert not re.search(r"\b(Bars|Bands):", page.text)


def test_many_pairs_show_those_of_the_best_arm_and_fold_the_rest(
    make_results, long_names
):
    results = make_results(long_names, seeds=2)
    page = Page(report.page_of(results, []))
    assert "The other 55 pairs" in page.text
    for pair in results["comparisons"]:
        assert f"{pair['a']} − {pair['b']}" in page.cells


def test_the_least_that_results_can_hold(tmp_path, make_results):
    results = make_results(["max_pool"], seeds=1, rates=(0.1,), shifts=False)
    for optional in ("config", "dataset", "notes"):
        del results[optional]
    for optional in ("gap", "rates", "learning_rate", "validation_accuracy"):
        del results["arms"][0][optional]
    page = written(tmp_path, results, metrics=[])
    assert page.tags.count("svg") == 1
    assert "Which differences" not in page.text
    assert "were tried" not in page.text


def test_a_recipe_is_spelled_out(results):
    assert "<h2>Recipe</h2>" not in report.page_of(results, [])
    recipe = {"schedule": "cosine(warmup=0.2)", "weight_decay": 0.0005}
    page = report.page_of(results | {"recipe": recipe}, [])
    assert "<h2>Recipe</h2>" in page
    for name, value in recipe.items():
        assert name in page and str(value) in page


def test_an_unfinished_run_says_so(results):
    results["status"] = "interrupted"
    assert "not complete: interrupted" in Page(report.page_of(results, [])).text
