"""Nets of finished runs: which one is meant, and what is wrong where there is none."""

import json
import shutil

import jax
import numpy as np
import pytest

from cnnlab import data, training
from cnnlab.errors import UserError
from cnnlab.training import checkpoint
from experiments.harness import checkpoints
from experiments.harness.workdir import arm_directory


@pytest.fixture
def copied(finished_run, tmp_path):
    """The directory of a run that a test may damage."""
    return shutil.copytree(finished_run[0], tmp_path / "copied")


def test_a_loaded_net_predicts_what_the_run_stored(finished_run):
    workdir, _ = finished_run
    images = data.load("glyphs", image_size=16, train_examples=64).test.images[:40]
    for arm in ("max_pool", "lp_pool(p=3.0)"):
        predict, _, config = training.load(workdir, arm, 1)
        stored = workdir / f"predictions/{arm_directory(arm)}/seed1.npz"
        with np.load(stored) as predictions:
            wanted = predictions["logits"][:40]
        np.testing.assert_allclose(predict(images), wanted, rtol=1e-5, atol=1e-5)
        assert (config.arm, config.seed) == (arm, 1)


def test_the_variables_are_those_of_the_seed(finished_run):
    workdir, results = finished_run
    for arm in results["arms"]:
        for seed in arm["seeds"]:
            _, variables, config = training.load(workdir, arm["spec"], seed["seed"])
            assert checkpoint.params_hash(variables["params"]) == seed["params_hash"]
            assert set(variables) == {"params"}
            assert config.steps == seed["steps"]


def test_a_net_is_described(finished_run):
    workdir, _ = finished_run
    description = training.load(workdir, "lp_pool(p=3.0)").config.description
    dataset = data.load("glyphs", image_size=16, train_examples=64)
    assert description.image_shape == (16, 16, 1)
    assert description.class_names == dataset.class_names
    scaling = training.scaling_of(dataset.train)
    np.testing.assert_array_equal(description.mean, scaling.mean)
    np.testing.assert_array_equal(description.deviation, scaling.deviation)
    model = description.create()
    assert (model.pool, model.num_classes) == ("lp_pool(p=3.0)", 10)


@pytest.mark.parametrize(
    ("words", "arm", "seed"),
    [
        ("", "max_pool", 0),
        (":max_pool", "max_pool", 0),
        (":max_pool:1:2", "max_pool", 1),
        (":lp_pool(p=3.0)", "lp_pool(p=3.0)", 0),
        (":lp_pool_p_3.0_:1", "lp_pool(p=3.0)", 1),
    ],
)
def test_words_name_a_net(finished_run, words, arm, seed):
    config = checkpoints.load(f"{finished_run[0]}{words}").config
    assert (config.arm, config.seed) == (arm, seed)


def test_a_directory_may_have_colons_in_its_name(copied):
    moved = copied.rename(copied.with_name("a:max_pool:0"))
    config = checkpoints.load(f"{moved}:lp_pool(p=3.0):1").config
    assert (config.arm, config.seed) == ("lp_pool(p=3.0)", 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("{}:avg_pool", "'avg_pool' is not in '{}'; choose from max_pool, lp_pool"),
        ("{}:max_pool:2", "2 is not among those of max_pool in '{}': 0, 1"),
        ("{}:max_pool:one", "the seed in '{}:max_pool:one' is not a number"),
        ("{}:max_pool:0:one", "the step in '{}:max_pool:0:one' is not a number"),
        (
            "{0}:max_pool:0:9",
            "9 is not among those in '{0}/checkpoints/max_pool/seed0': 2",
        ),
        ("{}:a:0:2:2", "'{}:a:0:2:2' is not WORKDIR[:arm[:seed[:step]]]"),
        ("{}/none:max_pool", "'{}/none' is not a directory"),
        ("{}/records", "'{}/records' holds no finished run"),
    ],
)
def test_words_that_name_no_net_are_told(finished_run, words, message):
    workdir = finished_run[0]
    with pytest.raises(UserError) as error:
        checkpoints.load(words.format(workdir))
    assert str(error.value).startswith("checkpoint: " + message.format(workdir))
    assert "\n" not in str(error.value)


def test_an_unfinished_run_has_no_nets_yet(copied):
    (copied / "results.json").unlink()
    with pytest.raises(UserError, match="^workdir: .*holds no finished run"):
        training.load(copied)


def test_a_missing_checkpoint_is_told(copied):
    shutil.rmtree(copied / "checkpoints" / "max_pool" / "seed1")
    with pytest.raises(UserError, match="seed1/2' cannot be read") as error:
        training.load(copied, "max_pool", 1)
    assert "\n" not in str(error.value)


def test_a_checkpoint_without_digests_is_not_trusted(copied):
    folder = copied / "checkpoints" / "max_pool" / "seed0"
    shutil.copytree(folder / "2", folder / "1")
    for step in (1, 2):
        (folder / str(step) / "index.json").unlink()
        with pytest.raises(UserError, match="^workdir: .*index.json is missing") as no:
            training.load(copied, "max_pool", 0, step)
        assert f"seed0/{step}' cannot be read" in str(no.value)
        assert "\n" not in str(no.value)


def test_another_nets_checkpoint_is_not_taken_for_it(copied):
    path = copied / "checkpoints" / "max_pool"
    stored = checkpoint.restore(path / "seed0" / "2")
    other = jax.tree.map(lambda leaf: leaf + 1, stored)
    checkpoint.save(path / "seed0" / "2", other)
    with pytest.raises(UserError, match="is not the one that the run wrote"):
        training.load(copied)


def test_a_step_is_one_of_those_that_are_stored(copied):
    """Whatever else a run keeps on its way is found by its number."""
    folder = copied / "checkpoints" / "max_pool" / "seed0"
    stored = checkpoint.restore(folder / "2")
    began = jax.tree.map(np.zeros_like, stored["params"])
    checkpoint.save(folder / "0", {**stored, "params": began})
    loaded = checkpoints.load(f"{copied}:max_pool:0:0")
    assert loaded.config.steps == 0
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(loaded.variables))
    assert checkpoints.load(f"{copied}:max_pool:0").config.steps == 2
    with pytest.raises(UserError, match="^step: 1 is not among those in .*: 0, 2$"):
        training.load(copied, "max_pool", 0, 1)


def changed(path, name, change):
    """The JSON file with its object `name` changed."""
    content = json.loads((path).read_text())
    change(content[name])
    path.write_text(json.dumps(content))


def without_images(stored):
    del stored["image_shape"], stored["class_names"]


def test_a_run_that_does_not_say_what_its_images_were_has_its_set_loaded(copied):
    wanted = training.load(copied).config.description
    changed(copied / "results.json", "dataset", without_images)
    assert training.load(copied).config.description == wanted


@pytest.mark.parametrize(
    ("file", "name", "change", "reason"),
    [
        ("results.json", "config", {"train_examples": 63}, "those of glyphs are not"),
        ("config.json", "config", {"image_size": 17}, "those of glyphs are not"),
        ("config.json", "config", {"dataset": "none"}, "none cannot be loaded .*none"),
    ],
)
def test_a_set_that_is_gone_or_another_is_told_with_the_cure(
    copied, file, name, change, reason
):
    changed(copied / "results.json", "dataset", without_images)
    if file == "results.json":
        (copied / "config.json").unlink()
    changed(copied / file, name, lambda config: config.update(change))
    with pytest.raises(UserError, match=f"^workdir: .*{reason}.*--overwrite") as error:
        training.load(copied)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("image_shape", "abc"), ("image_shape", [16, 16]), ("class_names", 10)],
)
def test_results_of_another_form_are_another_versions(copied, name, value):
    changed(
        copied / "results.json",
        "dataset",
        lambda dataset: dataset.update({name: value}),
    )
    with pytest.raises(UserError, match="written by another version") as error:
        training.load(copied)
    assert "\n" not in str(error.value)
