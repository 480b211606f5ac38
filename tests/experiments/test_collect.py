"""Finished runs are gathered, and what is none is refused before a file is written."""

import json

import pytest

from cnnlab.errors import UserError
from cnnlab.statistics import compare_pairs, mean_interval
from experiments import collect

ARMS = {"max_pool": [0.9, 0.92, 0.91], "avg_pool": [0.8, 0.83, 0.82]}


def finished(path, **changes):
    """A work directory with the least that a run leaves."""
    interval = {name: mean_interval(values)._asdict() for name, values in ARMS.items()}
    results = {
        "status": "complete",
        "command": "python -m experiments.some",
        "environment": {"date": "2026-01-01"},
        "dataset": {"name": "some images", "train": 100},
        "arms": [
            {
                "name": name,
                "model": "lenet5",
                "parameters": 10,
                "test_accuracy": interval[name],
                "train_accuracy": interval[name],
                "gap": interval[name],
                "step_seconds": 0.1,
                "seeds": [],
            }
            for name in ARMS
        ],
        "comparisons": compare_pairs(ARMS),
        "figures": ["figures/accuracy.svg", "figures/accuracy.png"],
        "seconds": 3600.0,
        **changes,
    }
    (path / "figures").mkdir(parents=True)
    (path / "figures/accuracy.svg").write_text(f"<svg>{path.name}</svg>")
    (path / "results.json").write_text(json.dumps(results))
    return results


def test_runs_are_gathered_and_earlier_ones_stay(tmp_path):
    results = {name: finished(tmp_path / name) for name in ("a", "b")}
    output = tmp_path / "kept"
    page = collect.run(collect.Config(runs=(f"{tmp_path}/a",), output=str(output)))
    collect.run(collect.Config(runs=(f"other={tmp_path}/b",), output=str(output)))
    assert page == output / "README.md"
    for name, folder in (("a", "a"), ("b", "other")):
        stored = json.loads((output / folder / "results.json").read_text())
        assert stored == results[name]
        drawing = (output / folder / "figures/accuracy.svg").read_text()
        assert drawing == f"<svg>{name}</svg>"
        assert f"({folder}/figures/accuracy.svg)" in page.read_text()
        assert f"[{folder}]({folder}/)" in page.read_text()
    assert not list(output.rglob("*.png"))


@pytest.mark.parametrize(
    "runs, message",
    [
        ((), "is empty"),
        (("{}/none",), "none' holds no finished run"),
        (("{}/stopped",), "holds no finished comparison"),
        (("a b={}/a",), "'a b' has other characters"),
        (("{}/a", "a={}/a"), "a is given twice"),
    ],
)
def test_what_cannot_be_gathered_is_refused(tmp_path, runs, message):
    finished(tmp_path / "a")
    finished(tmp_path / "stopped", status="stopped")
    output = tmp_path / "kept"
    named = tuple(run.format(tmp_path) for run in runs)
    with pytest.raises(UserError, match=f"runs.*{message}"):
        collect.run(collect.Config(runs=named, output=str(output)))
    assert not output.exists()
