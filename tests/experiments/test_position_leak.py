"""What padding tells a net of where things are, by arithmetic and by training."""

import json

import numpy as np
import pytest

from cnnlab import data
from cnnlab.errors import UserError
from experiments import position_leak
from experiments.harness import flags


@pytest.fixture
def few_images(monkeypatch):
    load = data.load
    monkeypatch.setattr(
        data, "load", lambda *args, **options: load(*args, test_examples=200, **options)
    )


def config(workdir, **changes):
    settings = {
        "epochs": 2,
        "batch_size": 100,
        "train_examples": 250,
        "seeds": 2,
        "patience": 0,
        "progress": "none",
        "workdir": str(workdir),
        **changes,
    }
    return position_leak.Config(**settings)


@pytest.mark.usefixtures("few_images")
@pytest.mark.parametrize(
    "paddings",
    [("full",), pytest.param(("circular", "full"), marks=pytest.mark.slow)],
)
def test_a_torus_and_full_padding_score_the_same_in_both_places(tmp_path, paddings):
    asked = config(tmp_path / "run", paddings=paddings, seeds=len(paddings))
    results = position_leak.run(asked)
    for arm in results["arms"]:
        assert len(arm["seeds"]) == len(paddings)
        for seed in arm["seeds"]:
            # Not all the same class, which would be as good in both places.
            stored = np.load(
                tmp_path / "run/predictions" / arm["name"] / f"seed{seed['seed']}.npz"
            )
            assert len(np.unique(stored["logits"].argmax(-1))) == 2
            assert seed["elsewhere_accuracy"] == seed["test_accuracy"]
            assert seed["leak"] == 0
    spec = "accuracy(motion='circular', shifts=((0, 0), (16, 0)))"
    assert {arm["elsewhere_spec"] for arm in results["arms"]} == {spec}
    assert spec in results["tables"][0]["note"]
    assert all(padding in results["answer"] for padding in paddings)
    assert "padding nets score the same wherever" in results["answer"]
    (table,) = results["tables"]
    published = {"circular": "73.7 ± 1.0", "full": "89.7 ± 0.5"}
    for row, padding in zip(table["rows"], paddings, strict=True):
        assert row[0] == padding
        assert row[3] == row[4] == published[padding]
    metrics = {pair["metric"] for pair in results["comparisons"]}
    if len(paddings) > 1:
        assert metrics == {"test_accuracy", "elsewhere_accuracy"}
    page = (tmp_path / "run/report.html").read_text()
    assert table["title"] in page and "Kayhan" in page
    assert position_leak.run(asked) == json.loads(
        (tmp_path / "run/results.json").read_text()
    )


@pytest.mark.slow
@pytest.mark.usefixtures("few_images")
def test_a_zero_padded_net_goes_by_place(tmp_path):
    asked = config(
        tmp_path,
        paddings=("same",),
        epochs=8,
        batch_size=200,
        train_examples=None,
        seeds=1,
    )
    (arm,) = position_leak.run(asked)["arms"]
    assert arm["test_accuracy"]["mean"] > 0.95
    # One that went by order would be as good, and one that guessed right half the time.
    assert arm["elsewhere_accuracy"]["mean"] < 0.3


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"paddings": ()}, "paddings: is empty"),
        ({"paddings": ("same", "mirror")}, "'mirror' is none; allowed are valid, same"),
        ({"paddings": ("same", "same")}, "same is given twice"),
        ({"seeds": 0}, "seeds: 0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    tmp_path, changes, message
):
    with pytest.raises(UserError, match=message):
        position_leak.run(config(tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_the_net_and_the_set_are_no_flags():
    with pytest.raises(UserError, match="model"):
        flags.parse(position_leak.Config, ["--model=lenet5"], usage="")
