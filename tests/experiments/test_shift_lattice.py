"""The shifts that are exact, certified, drawn and told, of nets small enough to tell.

Two strides of 2 see shifts by multiples of 4 alone as whole entries; a border has a
place, which no shift moves; a choice of samples by the image goes with any shift.
"""

import dataclasses
import json
import re

import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.reporting import lattice_table
from experiments.harness import flags
from experiments.harness.workdir import run_path
from experiments.lattices import certificates, nets
from experiments.shift_lattice import Config, main, run

SIDE = 8
POLYPHASE = "adaptive_polyphase(pool=None)"
CIRCULAR = Config(
    pools=("strides", "max_pool", "avg_pool", POLYPHASE),
    boundaries=("circular",),
    image_size=SIDE,
    progress="none",
)


def changed(config, workdir, **changes):
    return dataclasses.replace(config, workdir=str(workdir), **changes)


@pytest.fixture(scope="module")
def circular(tmp_path_factory):
    """The configuration and the results of a finished run."""
    config = changed(CIRCULAR, tmp_path_factory.mktemp("lattices") / "run")
    return config, run(config)


def by_pool(results):
    return {each["pool"]: each for each in results["certificates"]}


def multiples(of):
    inside = [not (down % of or right % of) for down, right in np.ndindex(SIDE, SIDE)]
    return np.reshape(inside, (SIDE, SIDE))


def exact(certificate):
    return np.array([[entry == "#" for entry in row] for row in certificate["exact"]])


@pytest.mark.parametrize(
    "pool, step, words",
    [
        ("strides", 4, "lattice 4x4"),
        ("max_pool", 4, "lattice 4x4"),
        ("avg_pool", 4, "lattice 4x4"),
        (POLYPHASE, 1, "all"),
    ],
)
def test_pools_on_a_torus_go_by_their_strides(circular, pool, step, words):
    found = by_pool(circular[1])[pool]
    np.testing.assert_array_equal(exact(found), multiples(step))
    assert (found["description"], found["share"]) == (words, 1 / step**2)
    assert (found["dtype"], found["to"], found["constant"]) == ("float32", 0, False)
    assert found["walk"]["exact"] == found["exact"] and not found["walk"]["refuted"]


def test_a_border_leaves_none_and_a_pool_that_has_none_is_listed(tmp_path):
    pools, boundaries = ("max_pool", POLYPHASE), ("zero", "reflect")
    asked = changed(CIRCULAR, tmp_path, pools=pools, boundaries=boundaries)
    results = run(asked)
    for found in results["certificates"]:
        assert found["description"] == "identity alone"
        np.testing.assert_array_equal(exact(found), multiples(SIDE))
    (missing,) = results["without"]
    assert (missing["pool"], missing["boundary"]) == (POLYPHASE, "reflect")
    assert "no boundary 'reflect'" in missing["reason"]
    text = lattice_table.plain(results)
    assert f"no net: {POLYPHASE} reflect: " in text
    assert missing["reason"].replace("'", "&#x27;") in report(tmp_path)


def test_a_mean_makes_up_for_averages_and_the_walk_says_that_it_does_not_look(tmp_path):
    pools = ("avg_pool", "max_pool")
    results = run(changed(CIRCULAR, tmp_path, pools=pools, third=False))
    found = by_pool(results)
    np.testing.assert_array_equal(exact(found["avg_pool"]), multiples(2))
    np.testing.assert_array_equal(exact(found["max_pool"]), multiples(4))
    walked = found["avg_pool"]["walk"]
    assert walked["description"] == "lattice 4x4" and not walked["refuted"]
    assert lattice_table.fewer(results) == {walked["why"]: ["avg_pool circular"]}
    assert walked["why"] and walked["why"] in report(tmp_path)
    assert "the same for 1 of 2, fewer for 1" in results["answer"]


def test_what_is_printed_fits_a_terminal_and_says_it_again_at_once(
    circular, capsys, monkeypatch
):
    config, results = circular
    monkeypatch.setattr(certificates, "record", None)
    main(config)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert lines[0].startswith("finished on ")
    cells = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert cells["max_pool"] == ["4x4", "="] and cells[POLYPHASE] == ["all", "="]
    assert lines[-1] == f"report: {config.workdir}/report.html"
    assert f"all shifts for {POLYPHASE}" in results["answer"]
    assert "lattice 4x4 (1/16 of the shifts) for strides, max" in results["answer"]


def test_the_report_has_a_picture_of_every_certificate_and_nothing_from_elsewhere(
    circular,
):
    config, results = circular
    page = report(config.workdir)
    assert page.count('<svg class="shifts"') == len(results["certificates"]) == 4
    assert page.count('aria-label="lattice 4x4"') == 3
    assert not re.search(r"https?:|//\w|@import|<script|javascript:", page)
    for name in results["figures"]:
        assert (run_path(config) / name).stat().st_size > 1000


def test_a_run_that_was_stopped_goes_on_with_what_it_lacks(
    circular, tmp_path, monkeypatch
):
    config, whole = circular
    asked = changed(config, tmp_path / "run")
    stored = by_pool(whole)
    made = []

    def record(config, case):
        made.append(case.pool)
        if made == ["strides", "max_pool"]:
            raise KeyboardInterrupt
        return stored[case.pool]

    monkeypatch.setattr(certificates, "record", record)
    with pytest.raises(KeyboardInterrupt):
        run(asked)
    assert not (tmp_path / "run/results.json").exists()
    results = run(asked)
    assert made == ["strides", "max_pool", "max_pool", "avg_pool", POLYPHASE]
    assert results["certificates"] == whole["certificates"]
    assert results == json.loads((tmp_path / "run/results.json").read_text())
    assert run(asked) == results and len(made) == 5


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"pools": ("max_pol",)}, "pools: unknown pool 'max_pol'; choose from .*, all"),
        ({"pools": ("max_pool(size=2)",)}, "pools: max_pool has no option 'size'"),
        ({"pools": ()}, "pools: is empty"),
        ({"pools": ("all", "max_pool")}, "pools: max_pool is given twice"),
        (
            {"pools": ("blur_pool(window_shape=(3))", "blur_pool(window_shape=[3])")},
            "pools: .* have the same file's name",
        ),
        ({"boundaries": ("torus",)}, "'torus' is not one of circular, zero, reflect, "),
        ({"boundaries": ("zero", "zero")}, "boundaries: zero is given twice"),
        ({"image_size": 1}, "image_size: 1 is less than 2"),
        ({"trials": 0}, "trials: 0 is less than 1"),
        ({"seed": 2**32}, "seed: 4294967296 is more"),
        ({"head": "median"}, "head: 'median' is not one of mean, max, flatten"),
        ({"option": "downsample"}, "option: is for --model"),
        ({"model": "lenet6"}, "model: unknown model 'lenet6'; choose from"),
        ({"model": "lenet5", "third": False}, "third: is for the two-level net"),
        ({"model": "lenet5", "head": "flatten"}, "head: flatten is for the two-level"),
        ({"model": "lenet5", "head": "max"}, "head: max is for models that end in a "),
        (
            {"model": "lenet5", "pools": ("strides",)},
            "pools: none fits: pool=None: LeNet5 needs a pool",
        ),
        (
            {"model": "lenet5"},
            "image_size: 8 does not fit lenet5: kernel .* its own images have 28",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_before_anything_is_written(
    tmp_path, changes, message
):
    with pytest.raises(UserError, match=message) as refused:
        run(changed(CIRCULAR, tmp_path / "run", **changes))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_all_stands_for_strides_and_every_registered_pool():
    from cnnlab.ops import pools

    config = flags.parse(Config, ["--pools=all,lp_pool(p=4.0)"], usage="")
    named = nets.named(config.pools)
    assert named == ["strides", *pools, "lp_pool(p=4.0)"]


@pytest.mark.slow
def test_a_registered_model_and_its_operations(tmp_path):
    asked = changed(
        CIRCULAR,
        tmp_path,
        model="red_green",
        image_size=16,
        option="downsample",
        pools=("strides", POLYPHASE),
        per_layer=True,
    )
    strided, shift_exact = run(asked)["certificates"]
    assert strided["description"] == "lattice 8x8"
    assert shift_exact["description"] == "all"
    maps = [layer for layer in strided["layers"] if layer["map"]]
    for layer in maps:
        step = int(layer["strides"][0])
        words = "all" if step == 1 else f"lattice {step}x{step}"
        assert layer["equivariant"] == words
    assert {layer["strides"][0] for layer in maps} == {1, 2, 4, 8}
    assert all(each["rolled"] == "all" for each in shift_exact["layers"])
    assert "Every operation" in report(tmp_path)


@pytest.mark.slow
def test_a_flat_head_keeps_no_shift_once_images_enough_are_tried(tmp_path):
    pools = ("max_pool", POLYPHASE)
    asked = changed(CIRCULAR, tmp_path, pools=pools, head="flatten", trials=8)
    for found in run(asked)["certificates"]:
        assert found["description"] == "identity alone"
        assert found["walk"]["exact"] == found["exact"]


def report(workdir):
    with open(f"{workdir}/report.html") as file:
        return file.read()
