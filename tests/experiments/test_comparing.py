"""What arms of a comparison share, and what sets them apart."""

import dataclasses
from collections import Counter
from typing import ClassVar

import jax
import numpy as np
import pytest
import small_comparison
from small_comparison import at
from small_training import glyphs

from cnnlab import training
from cnnlab.diagnostics import shifts
from cnnlab.errors import UserError
from experiments.comparing import experiment, shift_measures
from experiments.comparing.arm import Arm
from experiments.comparing.comparison_flags import ComparisonFlags
from experiments.comparing.plan import plans
from experiments.comparing.shared_start import digests
from experiments.harness import flags
from experiments.training import plan as training_plan
from experiments.training.determinism import unordered_operations

pytestmark = pytest.mark.usefixtures("small")

ARMS = (
    Arm("plain", {"augment": (), "loss": "mean_squared_error"}),
    Arm("rolled", {"boundary": "circular", "pool": "avg_pool"}),
    Arm("small steps", {"augment": ("random_flip",)}, learning_rates=(0.01,)),
)


@dataclasses.dataclass(frozen=True)
class Config(ComparisonFlags):
    experiment: ClassVar[str] = "some_comparison"
    pool: ClassVar[None] = None
    boundary: ClassVar[str] = "zero"

    def arms(self):
        return list(ARMS)

    def question(self):
        return "Which?"


def some(workdir, **changes):
    shared = {
        field.name: getattr(small_comparison.SMALL, field.name)
        for field in dataclasses.fields(ComparisonFlags)
    }
    names = {field.name for field in dataclasses.fields(Config)}
    shared = {name: value for name, value in shared.items() if name in names}
    return Config(**{**shared, "workdir": str(workdir), **changes})


def jobs(config):
    return [planned.plan.job for planned in plans(config, glyphs())]


def test_arms_that_differ_in_an_operator_begin_alike_on_the_same_batches(tmp_path):
    first, second = jobs(at(tmp_path))
    assert [first.arm, second.arm] == ["max_pool", "lp_pool(p=3.0)"]
    for of_first, of_second in zip(first.start(), second.start(), strict=True):
        jax.tree.map(np.testing.assert_array_equal, of_first.params, of_second.params)
    for epoch in (0, 1, 7):
        orders = list(zip(first.orders(epoch), second.orders(epoch), strict=True))
        for of_first, of_second in orders:
            np.testing.assert_array_equal(of_first, of_second)
        assert not np.array_equal(orders[0][0], orders[1][0])
    for seed in first.seeds:
        for of_first, of_second in zip(
            first.split(seed), second.split(seed), strict=True
        ):
            np.testing.assert_array_equal(of_first, of_second)


def test_nets_that_differ_share_the_parameters_that_both_have(tmp_path):
    plain, learned = jobs(at(tmp_path, pools=("max_pool", "gated_pool"), seeds=2))
    of_plain, of_learned = (job.start()[0].params for job in (plain, learned))
    assert set(of_plain) < set(of_learned)
    both, alone = digests([plain, learned]), digests([learned])[0]
    assert both[0] == both[1] and both[0][0] != both[0][1]
    for shared, whole in zip(both[0], alone, strict=True):
        assert shared["batches_hash"] == whole["batches_hash"]
        assert shared["initial_params_hash"] != whole["initial_params_hash"]


def test_an_experiment_of_its_own(tmp_path):
    config = some(tmp_path / "run", seeds=2, seed_engine="vmap")
    results = experiment.run(
        config,
        measures=lambda: [shift_measures.consistency(1, 20, ["circular"])],
        compared=["circular_consistency"],
    )
    arms = {arm["name"]: arm for arm in results["arms"]}
    assert list(arms) == [arm.name for arm in ARMS]
    assert arms["small steps"]["learning_rate"] == 0.01
    assert {rate["learning_rate"] for rate in arms["plain"]["rates"]} == {0.02, 0.05}
    assert results["environment"]["seed_engine"] == "vmap"
    assert arms["rolled"]["options"] == {"pool": "avg_pool", "boundary": "circular"}
    metrics = {row["metric"] for row in results["comparisons"]}
    assert metrics == {"test_accuracy", "circular_consistency"}
    # The first arm's loss has fewer than the others'.
    unordered = [Counter(unordered_operations(job)) for job in jobs(config)[:2]]
    assert unordered[0] < unordered[1] == results["unordered_operations"]
    for name, arm in arms.items():
        for number, seed in enumerate(arm["seeds"]):
            net = training.load(config.workdir, name, number)
            assert net.config.arm == name
            images, labels = glyphs().test.images[:20], glyphs().test.labels[:20]
            (map_,) = arm["shift_maps"]
            found = shifts.measure(net.predict, images, map_["spec"], labels)
            assert found.overall.mean == pytest.approx(seed["circular_consistency"])
    shared = [
        {(seed["batches_hash"], seed["initial_params_hash"]) for seed in seeds}
        for seeds in zip(*(arm["seeds"] for arm in results["arms"]), strict=True)
    ]
    assert all(len(each) == 1 for each in shared) and shared[0] != shared[1]


@pytest.mark.slow
def test_seeds_in_one_program_are_those_of_a_loop(tmp_path):
    changes = {"dtype": "float64", "seeds": 2, "rate_seeds": 2, "reach": 0}
    changes |= {"pools": ("max_pool",), "learning_rates": (0.02,), "epochs": 1}
    runs = [
        small_comparison.run(tmp_path / engine, seed_engine=engine, **changes)
        for engine in ("loop", "map")
    ]
    looped, mapped = ([s for s in run["arms"][0]["seeds"]] for run in runs)
    for one, other in zip(looped, mapped, strict=True):
        assert one["test_loss"] == pytest.approx(other["test_loss"], rel=1e-6)
        assert one["test_accuracy"] == other["test_accuracy"]


@pytest.mark.parametrize(
    "name", ["batch_size", "epochs", "steps", "seeds", "dataset", "no_flag"]
)
def test_arms_set_no_flag_that_all_share(name):
    with pytest.raises(ValueError, match=f"{name} is not one of accumulate, aug"):
        Arm("a", {name: 1})


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ([Arm("a", {"pool": "no_pool"}, flag="arms")], "arms: unknown pool"),
        ([Arm("a", {"model": "no_model"})], "model: unknown model"),
        ([Arm("a", {}), Arm("a", {"pool": "avg_pool"})], "model: a is given twice"),
        ([Arm("a(b", {}), Arm("a)b", {})], "model: .* would share a directory"),
        ([Arm("a", {"clip": -1.0}, flag="arms")], "arms: -1.0 is not a finite"),
        (
            [Arm("a", {"pool": "avg_pool"}, flag="arms")],
            "model: .* sets pool; use --arms",
        ),
    ],
)
def test_the_flag_that_brings_an_arm_in_is_blamed(tmp_path, monkeypatch, arms, message):
    monkeypatch.setattr(Config, "arms", lambda self: arms)
    model = "lenet5(pool='max_pool')" if "sets pool" in message else "lenet5"
    with pytest.raises(UserError, match=f"^{message}"):
        flags.checked(some(tmp_path, model=model))


RECIPES = [Arm("ours", {}), Arm("theirs", {"recipe": "all_cnn"}, flag="arms")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"batch_size": None, "epochs": None},
            r"\(validation_fraction 0.0, not 0.1; epochs 350, not 6\); arms share "
            r"theirs: give all of them --validation_fraction, --epochs$",
        ),
        ({"steps": 9, "epochs": None}, r"\(validation_fraction 0.0, not 0.1\)"),
        (
            {"recipe": "cifar_resnet", "epochs": None, "validation_fraction": 0.1},
            r"cifar_resnet \(epochs 350, not 0; steps 0, not 64000\); arms .*"
            r" --epochs$",
        ),
    ],
)
def test_a_recipe_of_other_batches_is_refused(tmp_path, monkeypatch, given, message):
    monkeypatch.setattr(Config, "arms", lambda self: RECIPES)
    given = {"validation_fraction": None} | given
    begins = "^arms: theirs has the recipe all_cnn, which takes other batches than"
    with pytest.raises(UserError, match=f"{begins}.*{message}"):
        flags.checked(some(tmp_path / "run", **given))
    assert not (tmp_path / "run").exists()


def test_a_recipe_of_the_same_batches_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(Config, "arms", lambda self: RECIPES)
    ours, theirs = jobs(flags.checked(some(tmp_path)))
    assert ours.recipe.clip != theirs.recipe.clip
    assert ours.steps == theirs.steps
    for epoch in (0, 1):
        for one, other in zip(ours.orders(epoch), theirs.orders(epoch), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("engine", ["auto", "devices"])
def test_seeds_that_devices_do_not_serve_share_batches(tmp_path, monkeypatch, engine):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("batch",))
    monkeypatch.setattr(training_plan, "data_mesh", lambda batch_size: mesh)
    found = jobs(some(tmp_path, seed_engine=engine))
    assert {job.task.data_mesh for job in found} == {mesh}


def test_devices_of_their_own_need_share_no_batch_evenly(tmp_path, monkeypatch):
    def refuse(batch_size):
        raise ValueError(f"batch_size {batch_size} cannot be shared")

    monkeypatch.setattr(training_plan, "data_mesh", refuse)
    found = jobs(some(tmp_path, seed_engine="devices"))
    assert {job.task.data_mesh for job in found} == {None}
    with pytest.raises(UserError, match="^batch_size: 16 .* --seed_engine=devices"):
        jobs(some(tmp_path, seed_engine="auto"))


def test_flags_that_arms_set_are_none_of_the_experiment():
    shown = flags.help_text(Config, "Usage.")
    for name in ("pool", "boundary", "learning_rate"):
        assert f"--{name}=" not in shown
    assert "--learning_rates=" in shown and "--recipe=" in shown
