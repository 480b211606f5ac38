"""Arms whose images move, and a small run of two of them."""

import dataclasses
import html
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_training import Tiny, spare

from cnnlab.data.augmentation import resolve_augmentation
from cnnlab.errors import UserError
from cnnlab.models.registry import models
from cnnlab.reporting import report, sampling_bars
from cnnlab.reporting.contrasts import table
from cnnlab.statistics import compare
from experiments.harness import flags
from experiments.invariance import arms, causes, moving, refusals, thinning
from experiments.invariance.contrasts import contrasts, families
from experiments.invariance.drawings import drawings
from experiments.training.run import TrainingRun
from experiments.translation_invariance import Config, run

SMALL = Config(
    models=("tiny",),
    pools=("max_pool",),
    boundaries=("zero",),
    image_size=16,
    train_examples=80,
    validation_fraction=0.2,
    batch_size=16,
    epochs=1,
    seeds=2,
    translation=2,
    max_shift=2,
    reach=1,
    shift_examples=10,
    budget_examples=3,
    tomography_examples=3,
    sampling_examples=3,
    progress="none",
)


def test_arms_are_every_combination_and_contrasts_differ_in_one_thing():
    named = arms.settings(
        ("lenet5",), ("max_pool", "avg_pool"), ("zero", "circular"), arms.AUGMENTS
    )
    assert len(named) == 8 and len(set(named.values())) == 8
    assert named["avg_pool circular augmented"] == (
        "lenet5",
        "avg_pool",
        "circular",
        "translation",
    )
    for factor, (old, new) in {
        "augment": ("none", "translation"),
        "boundary": ("zero", "circular"),
        "pool": ("max_pool", "avg_pool"),
    }.items():
        pairs = arms.contrasts(named, factor)
        assert len({(pair.a, pair.b) for pair in pairs}) == 4
        assert len({pair.where for pair in pairs}) == 4
        for pair in pairs:
            a, b = named[pair.a], named[pair.b]
            assert (getattr(b, factor), getattr(a, factor)) == (old, new)
            assert a == b._replace(**{factor: new})
    assert not arms.contrasts(named, "model")


def test_an_arm_moves_its_images_by_whole_pixels_into_zeros():
    named = arms.settings(
        ("lenet5", "resnet20"), ("max_pool",), ("edge",), arms.AUGMENTS
    )
    still, moved = (
        arms.arm(name, named[name], translation=3).configured(SMALL)
        for name in ("resnet20 max_pool edge", "resnet20 max_pool edge augmented")
    )
    assert (still.model, still.pool, still.boundary) == ("resnet20", "max_pool", "edge")
    assert dataclasses.replace(moved, augment=still.augment) == still
    assert still.augment is None
    # The fill of the data set, which the arm's own goes before.
    step = jax.jit(resolve_augmentation(moved.augment, fill=0.7))
    image = jnp.ones((8, 8, 1))
    seen = np.stack(
        [step(key, image) for key in jax.random.split(jax.random.key(0), 64)]
    )
    assert set(np.unique(seen)) == {0, 1}
    assert seen.any((0, 3)).all() and seen.sum((1, 2, 3)).min() == 25


@pytest.fixture(scope="module")
def finished(tmp_path_factory, programs):
    """A finished run of two arms with its report: its configuration and its results."""
    config = dataclasses.replace(
        SMALL, workdir=str(tmp_path_factory.mktemp("runs") / "run")
    )
    drawn = report.write, report.figure_paths
    with pytest.MonkeyPatch.context() as patch:
        spare(patch, programs)
        patch.setattr(report, "write", drawn[0])
        patch.setattr(report, "figure_paths", drawn[1])
        return config, run(config)


def test_what_a_run_found_is_stored_with_intervals(finished):
    config, results = finished
    stored = json.loads((Path(config.workdir) / "results.json").read_text())
    assert stored == json.loads(json.dumps(results))
    for arm in stored["arms"]:
        for curve in arm["curves"]:
            assert curve["shifts"] == [-2, -1, 0, 1, 2]
            assert curve["agreement"]["mean"][2] == 1
            name = f"{curve['motion']}_accuracy_along"
            by_seed = np.array([seed[name] for seed in arm["seeds"]])
            np.testing.assert_allclose(curve["accuracy"]["mean"], by_seed.mean(0))
            # Student's 97.5 % point for one degree of freedom is 12.706.
            reached = 12.706 * by_seed.std(0, ddof=1) / np.sqrt(2)
            width = np.subtract(curve["accuracy"]["high"], curve["accuracy"]["mean"])
            np.testing.assert_allclose(width, reached, rtol=1e-3, atol=1e-12)
        assert arm["circular_flip_radius"]["n"] == 2
        assert arm["flip_radius_bound"] == 2
        shares = arm["budget"]["shares"].values()
        assert sum(share["mean"] for share in shares) == pytest.approx(1)
    shown, sampled = stored["tables"]
    # A pair has one row for a metric, in which it is judged once.
    told = ("factor", "of", "where")
    for row in stored["contrasts"]:
        same = {name: value for name, value in row.items() if name not in told}
        assert same in stored["comparisons"]
    assert len(stored["contrasts"]) == len(stored["comparisons"])
    assert {row["verdict"] for row in stored["contrasts"]} <= {
        "resolved",
        "equivalent",
        "not resolved",
    }
    (row,) = shown["rows"]
    still, moving_arm = stored["arms"]
    assert moving_arm["name"] == still["name"] + " augmented"
    for cell, metric in zip(
        row[2:],
        ["test_accuracy", "circular_consistency", "zero_consistency"],
        strict=True,
    ):
        difference = 100 * (moving_arm[metric]["mean"] - still[metric]["mean"])
        shown = float(cell.split(" ")[0].replace("\N{MINUS SIGN}", "-"))
        assert shown == pytest.approx(difference, abs=0.0051)
    for arm in stored["arms"]:
        sites = arm["sampling"]["sites"]
        ends = [arm["sampling"][end]["mean"] for end in ("as_it_is", "following")]
        added = sum(site["shapley"]["mean"] for site in sites)
        assert added == pytest.approx(ends[1] - ends[0])
        assert {row[1] for row in sampled["rows"]} == {site["name"] for site in sites}
    # Both begin alike and see the same images, one of them moved.
    for one, other in zip(still["seeds"], moving_arm["seeds"], strict=True):
        assert one["initial_params_hash"] == other["initial_params_hash"]
        assert one["batches_hash"] == other["batches_hash"]
        assert one["params_hash"] != other["params_hash"]


def test_the_report_shows_every_measurement_and_how_to_make_it_again(finished):
    config, results = finished
    page = (Path(config.workdir) / "report.html").read_text()
    page = html.unescape(re.sub("<[^>]*>", "", page))
    names = {Path(figure).stem for figure in results["figures"]}
    assert names >= {
        "contrasts",
        "curves_circular",
        "curves_zero",
        "flip_radii",
        "budget",
        "sampling",
        "tomography_translation",
        "shift_maps",
    }
    arm = results["arms"][0]
    for spec in (
        results["command"],
        "shift(zero, 0..0 x -2..2, all pairs, per image)",
        "shift(circular, -1..1, all pairs, per image)",
        arm["budget"]["spec"],
        arm["tomography"]["spec"],
        *arm["sampling"]["specs"],
        results["tables"][0]["title"],
    ):
        assert spec in page
    assert flags.command_line(config) == results["command"]


def test_a_finished_run_is_not_run_again(finished, monkeypatch):
    config, results = finished
    monkeypatch.setitem(models._functions, "tiny", Tiny)
    monkeypatch.setattr(TrainingRun, "train", None)
    assert run(config) == json.loads(json.dumps(results))


def test_of_one_seed_no_interval_is_claimed(finished):
    config, results = finished
    single = {**results, "arms": []}
    measures = [
        moving.curves(2, 10),
        moving.grids(1, 10),
        causes.budget(3),
        causes.tomography(("translation",), 3),
        thinning.thinning(3),
    ]
    for arm in results["arms"]:
        row = {**arm, "seeds": arm["seeds"][:1]}
        for measure in measures:
            row |= measure.of_arm(row["seeds"])
        single["arms"].append(row)
    pairs = families(config.settings())
    assert len(pairs) == 1
    compared = compare(single, pairs=[pair for each in pairs.values() for pair in each])
    rows = contrasts(compared, config.settings())
    assert [row["low"] for row in rows] == [None]
    note = table(rows)["note"]
    note += sampling_bars.table(single["arms"])["note"]
    assert "±" not in note and "Student" not in note and "Holm" not in note
    for drawing in drawings(single, rows).values():
        assert "Student" not in drawing.caption


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pools": ("max_pol",)}, "pools: unknown pool 'max_pol'; choose from .*avg"),
        ({"pools": ()}, "pools: is empty"),
        ({"pools": ("lp_pool(p=3.0)", "lp_pool(p= 3.0)")}, "pools: .* once more"),
        (
            {"models": ("lenet6",)},
            "models: unknown model 'lenet6'; choose from .*lenet",
        ),
        ({"models": ("lenet5(pool='max_pool')",)}, "models: .* sets pool; use --pools"),
        ({"models": ("tiny", "tiny")}, "models: tiny is tiny once more"),
        ({"boundaries": ("loud",)}, "boundaries: 'loud' is not one of zero, circular"),
        ({"boundaries": ("zero", "zero")}, "boundaries: zero is zero once more"),
        ({"augments": ("moved",)}, "augments: 'moved' is not one of none, translation"),
        ({"augments": ()}, "augments: is empty"),
        ({"transformations": ("shear",)}, "transformations: 'shear' is not one of"),
        ({"translation": 0}, "translation: 0 is less than 1"),
        ({"translation": 16}, "translation: 16 is not less than the images' 16x16"),
        ({"max_shift": 16}, "max_shift: 16 is not less than the images' 16x16"),
        ({"reach": 16}, "reach: 16 is not less than"),
        ({"shift_examples": 0}, "shift_examples: 0 is less than 1"),
        ({"budget_examples": -1}, "budget_examples: -1 is less than 0"),
        ({"sampling_examples": -1}, "sampling_examples: -1 is less than 0"),
        ({"seeds": 0}, "seeds: 0 is less than 1"),
        ({"models": ("googlenet",)}, "models: googlenet cannot take 16x16x1 images: "),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path, small, change, message
):
    config = dataclasses.replace(SMALL, workdir=str(tmp_path / "run"), **change)
    with pytest.raises(UserError, match=f"^{message}") as caught:
        run(config)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_stride_that_the_images_are_too_small_for_is_refused():
    said = (
        "^budget_examples: cifar_resnet18 has a stride of 8, which takes rolls by 23 "
        "pixels, and images are 20x20x1; --budget_examples=0 leaves"
    )
    with pytest.raises(UserError, match=said):
        refusals.refuse_unfit("cifar_resnet18", (20, 20, 1), with_budget=True)
    for size, with_budget in ((20, False), (16, True), (28, True)):
        image_shape = (size, size, 1)
        refusals.refuse_unfit("cifar_resnet18", image_shape, with_budget=with_budget)
