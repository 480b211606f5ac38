"""Under what a training run that was stopped may go on, and what it refuses."""

import json
import os

import jax
import pytest
from small_training import at, facts, refused, run, stored

from experiments.harness.environment import environment
from experiments.harness.workdir import WorkDirectory

pytestmark = pytest.mark.usefixtures("small")


def test_threads_that_xla_is_given_are_those_that_are_recorded(monkeypatch):
    monkeypatch.setenv("NPROC", "7")
    assert environment()["cpu_threads"] == 7
    monkeypatch.setenv("NPROC", "none")
    assert environment()["cpu_threads"] == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    "name, there",
    [
        ("cnnlab", "'0.0'"),
        ("cpu", "'aarch64'"),
        ("cpu_threads", "999"),
        ("seed_engine", "'vmap'"),
    ],
)
def test_going_on_elsewhere_has_to_be_allowed(begun, capsys, name, there):
    config = stored(begun, "config.json")
    place = config if name == "seed_engine" else config["environment"]
    here = place[name]
    place[name] = there = json.loads(there.replace("'", '"'))
    (begun / "config.json").write_text(json.dumps(config))
    refused(begun, f"allow_rounding: '.*' was begun with {name} {there}, and this is")
    results = run(begun, allow_rounding=True, progress="lines")
    note = f"Parts of the run were made under another {name} than its environment"
    assert any(told.startswith(note) for told in results["notes"])
    assert f"the run was begun with {name} {there}" in capsys.readouterr().err
    # What it was begun with is not forgotten.
    config = stored(begun, "config.json")
    (earlier,) = config["earlier_environments"]
    assert earlier[name] == there
    assert (config if name == "seed_engine" else config["environment"])[name] == here


def test_going_on_under_other_settings_of_jax_has_to_be_allowed(begun):
    with jax.default_matmul_precision("float32"), jax.default_prng_impl("rbg"):
        refused(
            begun,
            "allow_rounding: .* begun with jax_default_matmul_precision .*, and "
            "this is float32; --allow_rounding goes on",
        )


def test_a_run_that_does_not_say_of_a_setting_goes_on(begun, capsys, uninterrupted):
    config = stored(begun, "config.json")
    environment = config["environment"]
    # As it was written before they were asked for, and by another caller of the CPU.
    del environment["jax_enable_x64"], environment["jax_softmax_custom_jvp"]
    flags = environment["xla_flags"].replace("--xla_gpu_deterministic_ops=true", "")
    environment["xla_flags"] = f"{flags} --xla_gpu_deterministic_ops=1".strip()
    environment["xla_gpu_deterministic_ops"] = "another"
    (begun / "config.json").write_text(json.dumps(config))
    results = run(begun, progress="lines")
    told = [line for line in capsys.readouterr().err.splitlines() if "begun" in line]
    assert told == [
        "the run does not say of jax_enable_x64, jax_softmax_custom_jvp how it was "
        "begun; they are taken to have been as now"
    ]
    assert facts(results) == facts(uninterrupted[1])
    assert not any("another" in note for note in results["notes"])
    assert stored(begun, "config.json")["environment"]["jax_enable_x64"] is False


def test_another_engine_is_refused(begun):
    refused(
        begun,
        "allow_rounding: .* was begun with seed_engine loop, and this is vmap; "
        "--allow_rounding goes on",
        seed_engine="vmap",
    )


def test_a_checkpoint_of_another_run_is_refused(begun, tmp_path):
    folder = begun / "checkpoints" / "tiny"
    os.rename(folder / "seed1", tmp_path / "seed1")
    os.rename(folder / "seed0", folder / "seed1")
    os.rename(tmp_path / "seed1", folder / "seed0")
    refused(begun, "workdir: '.*seed0' holds a checkpoint of another run: seed is 1 ")
    other = at(tmp_path / "other", learning_rate=0.06)
    WorkDirectory.open(other).close()
    os.rename(begun / "checkpoints", tmp_path / "other" / "checkpoints")
    refused(
        tmp_path / "other",
        "workdir: .* another run: learning_rate is 0.05 there and 0.06 here",
        learning_rate=0.06,
    )


def test_another_configuration_or_process_is_refused(begun):
    refused(begun, "workdir: .*learning_rate is 0.05 there and 0.1", learning_rate=0.1)
    with WorkDirectory.open(at(begun)):
        refused(begun, f"workdir: .* in use by another process .pid {os.getpid()}")
    assert run(begun)["status"] == "complete"
