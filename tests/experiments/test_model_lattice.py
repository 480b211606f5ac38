"""What the walk claims of models, the certificate finds; the table says what is not."""

import copy
import json
import re

import numpy as np
import pytest

from cnnlab.diagnostics.geometry import walk
from cnnlab.diagnostics.lattice import certify
from cnnlab.errors import UserError
from cnnlab.models import create_model, list_models
from cnnlab.reporting import model_lattice as told
from experiments import model_lattice
from experiments.harness.workdir import run_path
from experiments.lattices import model_cases
from experiments.lattices.model_cases import ModelCase, own_side, traced
from experiments.lattices.nets import STRIDES
from experiments.model_lattice import Config, run

POLYPHASE = "adaptive_polyphase(pool=None)"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The configuration and the results of a finished run."""
    config = Config(
        models=("red_green", "lenet5"),
        boundaries=("circular",),
        pools=(STRIDES,),
        unclaimed=True,
        progress="none",
        workdir=str(tmp_path_factory.mktemp("models") / "run"),
    )
    return config, run(config)


def test_a_model_of_stride_eight_is_exact_for_multiples_of_eight(finished):
    red_green, lenet5 = finished[1]["certificates"]
    assert red_green["description"] == red_green["walk"]["description"] == "lattice 8x8"
    assert lenet5["description"] == lenet5["walk"]["description"] == "identity alone"
    assert lenet5["walk"]["why"]
    for each in (red_green, lenet5):
        assert not each["walk"]["refuted"] and not each["constant"]
        assert (each["dtype"], each["to"]) == ("float32", 0)
    assert "finds for 2, fewer for 0, and more for 0" in finished[1]["answer"]


def test_what_is_printed_fits_a_terminal_and_the_report_needs_nothing(finished, capsys):
    config, results = finished
    model_lattice.main(config)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    cells = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert cells["red_green"] == ["16x16", "8x8"]
    assert cells["lenet5"] == ["12x12", "identity"]
    page = (run_path(config) / "report.html").read_text()
    assert "<td>8x8</td>" in page and results["answer"] in page
    assert not re.search(r"https?:|//\w|@import|<script|javascript:", page)


def test_a_claim_too_many_is_told_as_wrong_and_one_too_few_with_its_reason(finished):
    results = copy.deepcopy(finished[1])
    more, less = results["certificates"]
    more["walk"] |= {"refuted": 12, "description": "all", "count": 256}
    less |= {"count": 36, "description": "lattice 2x2"}
    less["walk"]["why"] = "does not look"
    assert told.fewer(results) == {"does not look": [f"lenet5 ({STRIDES}, circular)"]}
    text = told.plain(results)
    assert "claims all: wrong, 8x8" in text and "identity, found 2x2" in text
    answer = told.answer(results)
    assert "fewer for 1, and more for 1" in answer
    assert f"Refuted: red_green ({STRIDES}, circular)" in answer


def test_a_run_that_was_stopped_goes_on_with_what_it_lacks(
    finished, tmp_path, monkeypatch
):
    config, whole = finished
    stored = {each["model"]: each for each in whole["certificates"]}
    made = []

    def record(config, case):
        made.append(case.model)
        if made == ["red_green", "lenet5"]:
            raise KeyboardInterrupt
        return stored[case.model]

    monkeypatch.setattr(model_cases, "record", record)
    asked = Config(**{**vars(config), "workdir": str(tmp_path / "run")})
    with pytest.raises(KeyboardInterrupt):
        run(asked)
    results = run(asked)
    assert made == ["red_green", "lenet5", "lenet5"]
    assert results["certificates"] == whole["certificates"]
    assert results == json.loads((tmp_path / "run/results.json").read_text())


def test_a_model_that_takes_no_such_pool_is_listed(tmp_path):
    config = Config(models=("lenet5",), pools=("blur_pool",), boundaries=("zero",))
    case = ModelCase("lenet5", "blur_pool", "zero")
    config = Config(**{**vars(config), "image_size": 4})
    record = model_cases.record(config, case)
    assert record["image"] == [4, 4] and "exceeds" in record["reason"]


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"models": ("lenet6",)},
            "models: unknown model 'lenet6'; choose from .*, all",
        ),
        ({"models": ("lenet5(depth=3)",)}, "models: "),
        ({"models": ()}, "models: is empty"),
        ({"models": ("all", "lenet5")}, "models: lenet5 is given twice"),
        ({"pools": ("max_pol",)}, "pools: unknown pool 'max_pol'; .*, strides"),
        ({"pools": (STRIDES, STRIDES)}, "pools: strides is given twice"),
        ({"boundaries": ("torus",)}, "'torus' is not one of circular, zero, reflect, "),
        ({"trials": 0}, "trials: 0 is less than 1"),
        ({"seed": 2**32}, "seed: 4294967296 is more"),
        ({"image_size": 1}, "image_size: 1 is less than 2"),
        (
            {"models": ("lenet5",), "image_size": 4},
            "image_size: 4 fits none: lenet5 strides circular: kernel",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(changes, message, tmp_path):
    config = Config(progress="none", workdir=str(tmp_path / "run"))
    with pytest.raises(UserError, match=message) as refused:
        run(Config(**{**vars(config), **changes}))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


# One model of each kind of which something is claimed, and the deepest, with the
# smallest side of images on which something is; choices take any.
JUDGED = {
    "cifar_resnet18": 16,
    "googlenet_bn": 64,
    "nin_cifar10": 8,
    "red_green": 16,
    "resnet20": 8,
    "resnet1202": 8,
    "resnet18": 64,
    "resnet18_v1": 64,
    "resnet50_v2": 64,
    "vgg11_bn": 32,
}
CHOOSING = {"nin_cifar10": 8, "red_green": 8, "resnet20": 8, "resnet18": 8}


def claimed_and_exact(model, pool, side):
    """The shifts that make all claimed ones, and those of them that are exact."""
    net, variables, image = traced(ModelCase(model, pool, "circular"), side)
    (row,) = walk(net.apply, variables, image).outputs
    down, right = row.shifts
    claimed = {(down % side, 0), (0, right % side), (down % side, right % side)}
    certificate = certify(
        net.apply, variables, image, shifts=[*claimed], trials=1, per_layer=False
    )
    assert not certificate.output.constant
    return claimed, set(map(tuple, np.argwhere(certificate.invariant).tolist()))


@pytest.mark.slow
@pytest.mark.parametrize("model", JUDGED)
def test_no_claim_for_a_model_is_refuted(model):
    claimed, exact = claimed_and_exact(model, STRIDES, JUDGED[model])
    assert claimed == exact and (0, 0) not in claimed


@pytest.mark.slow
@pytest.mark.parametrize("model", CHOOSING)
def test_no_claim_for_a_model_that_chooses_is_refuted(model):
    claimed, exact = claimed_and_exact(model, POLYPHASE, CHOOSING[model])
    assert claimed == exact == {(1, 0), (0, 1), (1, 1)}


@pytest.mark.slow
def test_every_kind_of_which_something_is_claimed_is_judged():
    """By a walk of the smallest model of each class that is not, at its own size."""
    judged = {type(create_model(name)) for name in JUDGED}
    for name in list_models():
        if type(create_model(name)) not in judged:
            judged.add(type(create_model(name)))
            side = own_side(name)
            net, variables, image = traced(ModelCase(name, STRIDES, "circular"), side)
            (row,) = walk(net.apply, variables, image).outputs
            assert row.shifts == (side, side) and row.why, name
