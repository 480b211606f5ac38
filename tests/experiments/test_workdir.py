import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.statistics import load_predictions
from experiments.harness import flags
from experiments.harness.environment import environment
from experiments.harness.workdir import (
    WorkDirectory,
    arm_directory,
    run_path,
    stored_results,
)


@dataclasses.dataclass(frozen=True)
class Config:
    experiment: ClassVar[str] = "sample"

    epochs: int = flags.field(2, "passes over the training set")
    pools: tuple[str, ...] = flags.field(("max_pool",), "arms")
    workdir: str | None = flags.field(None, "directory", identity=False)
    overwrite: bool = flags.field(False, "start anew", identity=False)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(config):
    return WorkDirectory.open(config, environment=lambda: {"jax": "0"})


def refused(config):
    with pytest.raises(UserError) as caught:
        make(config)
    assert caught.value.argument == "workdir"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def contents(path):
    return {
        str(item.relative_to(path)): item.read_bytes()
        for item in sorted(Path(path).rglob("*"))
        if item.is_file() and item.name != "lock"
    }


def finish(config):
    with make(config) as directory:
        directory.append_metrics({"epoch": 1})
        directory.write_record("max_pool-0", {"loss": 1.0})
        directory.save_predictions(
            "max_pool", 0, logits=[[0.0]], labels=[0], index=[0], dataset_fingerprint=""
        )
        (directory.checkpoints("max_pool", 0) / "weights").write_text("w")
        for folder, name in (("figures", "curve.svg"), ("compile_cache", "entry")):
            (directory.path / folder).mkdir()
            (directory.path / folder / name).write_text("<svg/>")
        (directory.path / "report.html").write_text("<p>")
        directory.write_results(
            {"status": "complete", "config_hash": flags.configuration_hash(config)}
        )
    return directory.path


def test_the_default_place_is_named_by_the_hash():
    place = run_path(Config())
    assert place.parent == Path("runs/sample")
    assert flags.configuration_hash(Config()).startswith(place.name)
    assert len(place.name) == 8
    assert run_path(Config(epochs=3)) != place
    assert run_path(Config(overwrite=True)) == place


def test_a_home_directory_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run_path(Config(workdir="~/here")) == tmp_path / "here"


def test_config_json_tells_what_made_the_run():
    config = Config(pools=("max_pool", "lp_pool(p=3.0)"), workdir="here")
    with make(config) as directory:
        stored = json.loads((directory.path / "config.json").read_text())
    assert stored == {
        "experiment": "sample",
        "config_hash": flags.configuration_hash(config),
        "config": flags.as_json(config),
        "command": flags.command_line(config),
        "environment": {"jax": "0"},
    }


def test_an_unfinished_run_goes_on():
    with make(Config()) as directory:
        directory.write_record("a", {"x": 1})
    before = contents(directory.path)
    with make(Config()) as directory:
        assert directory.read_record("a") == {"x": 1}
    assert contents(directory.path) == before


def test_a_run_killed_before_its_config_was_written_goes_on():
    path = run_path(Config())
    path.mkdir(parents=True)
    (path / "lock").write_text("1\n")
    (path / "config.json.partial").write_text('{"exp')
    with make(Config()):
        pass
    assert list(contents(path)) == ["config.json"]


def test_another_configuration_is_refused_and_nothing_is_lost():
    path = finish(Config(workdir="here"))
    before = contents(path)
    line = refused(Config(workdir="here", epochs=3))
    assert "'here'" in line and "epochs is 2 there and 3 here" in line
    assert "--overwrite" in line
    assert contents(path) == before


def test_another_experiment_is_refused():
    class Other(Config):
        experiment: ClassVar[str] = "other"

    finish(Config(workdir="here"))
    line = refused(Other(workdir="here", epochs=3))
    assert 'experiment is "sample" there and "other" here' in line


def test_overwrite_removes_the_run_and_nothing_else():
    path = finish(Config(workdir="here"))
    (path / "notes.txt").write_text("mine")
    (path / "mine").mkdir()
    (path / "mine" / "kept").write_text("mine too")
    config = Config(workdir="here", epochs=3, overwrite=True)
    with make(config):
        pass
    stored = contents(path)
    assert sorted(stored) == ["config.json", "mine/kept", "notes.txt"]
    assert json.loads(stored["config.json"])["config"]["epochs"] == 3


def test_overwrite_follows_no_links():
    path = finish(Config(workdir="here"))
    outside = Path("outside")
    outside.mkdir()
    (outside / "precious").write_text("p")
    (path / "figures" / "curve.svg").unlink()
    (path / "figures").rmdir()
    (path / "figures").symlink_to(outside.resolve())
    make(Config(workdir="here", overwrite=True)).close()
    assert (outside / "precious").exists() and not (path / "figures").exists()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "files",
    [
        {"thesis.tex": "years"},
        {"results.json": "{}"},
        {"config.json": '{"hidden_size": 768}', "figures": "f"},
        {"config.json": "[1]"},
    ],
)
def test_what_no_run_wrote_is_never_touched(files, overwrite):
    Path("here").mkdir()
    for name, text in files.items():
        Path("here", name).write_text(text)
    line = refused(Config(workdir="here", overwrite=overwrite))
    assert "not a run's" in line
    assert {item.name: item.read_text() for item in Path("here").iterdir()} == files


def test_a_damaged_config_is_refused_and_overwrite_replaces_it():
    path = finish(Config(workdir="here"))
    (path / "config.json").write_text('{"experiment": "sam')
    before = contents(path)
    assert "--overwrite" in refused(Config(workdir="here"))
    assert contents(path) == before
    make(Config(workdir="here", overwrite=True)).close()
    assert list(contents(path)) == ["config.json"]


def test_a_place_that_cannot_be_a_directory_is_refused():
    Path("file").write_text("")
    assert "'file' is a file" in refused(Config(workdir="file"))
    assert "file/below" in refused(Config(workdir="file/below"))


def test_a_place_that_cannot_be_written_is_refused():
    Path("locked").mkdir(mode=0o500)
    if os.access("locked", os.W_OK):
        pytest.skip("this user may write everywhere; no permission can be denied")
    assert "Permission denied" in refused(Config(workdir="locked"))


def test_a_refusal_asks_for_no_environment():
    finish(Config(workdir="here"))
    with pytest.raises(UserError):
        WorkDirectory.open(
            Config(workdir="here", epochs=9), environment=lambda: pytest.fail()
        )


HOLDER = """
import sys, time
sys.path[:0] = {path!r}
from test_workdir import Config, make
held = make(Config(workdir="here"))
print("holding", flush=True)
time.sleep(60)
"""


def test_the_lock_lives_as_long_as_its_process():
    path = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(path=path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        try:
            assert holder.stdout.readline() == "holding\n"
            for overwrite in (False, True):
                line = refused(Config(workdir="here", overwrite=overwrite))
                assert f"in use by another process (pid {holder.pid})" in line
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
    make(Config(workdir="here")).close()


def test_leaving_lets_the_lock_go():
    with make(Config()):
        assert f"pid {os.getpid()}" in refused(Config())
    make(Config()).close()


def test_stored_results_are_those_of_a_finished_run_of_the_same_configuration():
    assert stored_results(Config()) is None
    finish(Config())
    assert stored_results(Config())["status"] == "complete"
    assert stored_results(Config(overwrite=True)) is None
    there = str(run_path(Config()))
    assert stored_results(Config(workdir=there))["status"] == "complete"
    assert stored_results(Config(workdir=there, epochs=3)) is None


@pytest.mark.parametrize("status", ["running", None])
def test_an_unfinished_run_has_no_stored_results(status):
    with make(Config()) as directory:
        content = {"config_hash": flags.configuration_hash(Config()), "status": status}
        directory.write_results(content)
    assert stored_results(Config()) is None


def test_damaged_results_count_as_none():
    path = finish(Config())
    whole = (path / "results.json").read_bytes()
    (path / "results.json").write_bytes(whole[: len(whole) // 2])
    assert stored_results(Config()) is None


def test_metrics_come_back_in_order_without_a_torn_line():
    with make(Config()) as directory:
        assert directory.metrics() == []
        lines = [{"epoch": epoch, "loss": 0.5} for epoch in range(3)]
        for line in lines:
            directory.append_metrics(line)
        path = directory.path / "metrics.jsonl"
        path.write_bytes(path.read_bytes()[:-7])
        assert directory.metrics() == lines[:2]
        directory.append_metrics({"epoch": 9})
        assert directory.metrics() == [*lines[:2], {"epoch": 9}]
        directory.keep_metrics(lambda line: line["epoch"] != 1)
        assert directory.metrics() == [lines[0], {"epoch": 9}]
        assert len(path.read_bytes().splitlines()) == 2


def test_what_is_stored_is_strict_json():
    def no_constant(name):
        pytest.fail(f"{name} is no JSON")

    with make(Config()) as directory:
        directory.append_metrics({"loss": float("nan"), "rate": np.float32("inf")})
        directory.append_metrics({"steps": np.int64(3), "all": np.arange(2)})
        stored = (directory.path / "metrics.jsonl").read_text().splitlines()
    parsed = [json.loads(line, parse_constant=no_constant) for line in stored]
    assert parsed == [{"loss": None, "rate": None}, {"steps": 3, "all": [0, 1]}]


def test_records_of_any_name_come_back_and_damaged_ones_do_not():
    with make(Config()) as directory:
        name = "lp_pool(p=3.0)/seed 1"
        assert directory.read_record(name) is None
        directory.write_record(name, {"steps": 4})
        assert directory.read_record(name) == {"steps": 4}
        (stored,) = (directory.path / "records").iterdir()
        stored.write_bytes(stored.read_bytes()[:-4])
        assert directory.read_record(name) is None


def test_predictions_are_what_the_statistics_read():
    logits = np.random.default_rng(0).normal(size=(4, 3))
    with make(Config()) as directory:
        directory.save_predictions(
            "lp_pool(p=3.0)",
            1,
            logits=logits,
            labels=np.arange(4, dtype=np.uint8),
            index=np.arange(4)[::-1],
            dataset_fingerprint="abc",
        )
    arm = {"name": "lp", "spec": "lp_pool(p=3.0)", "seeds": [{"seed": 1}]}
    loaded = load_predictions(directory.path, {"arms": [arm]})["lp"][1]
    np.testing.assert_array_equal(loaded["logits"], logits.astype(np.float32))
    np.testing.assert_array_equal(loaded["labels"], [0, 1, 2, 3])
    np.testing.assert_array_equal(loaded["index"], [3, 2, 1, 0])
    assert loaded["logits"].dtype == np.float32
    assert loaded["dataset_fingerprint"] == "abc"


def test_a_write_that_fails_keeps_what_was_there():
    with make(Config()) as directory:
        directory.write_record("a", {"x": 1})
        directory.append_metrics({"x": 1})
        before = contents(directory.path)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
        try:
            with pytest.raises(UserError, match="records/a.json'"):
                directory.write_record("a", {"x": "y" * 1000})
            with pytest.raises(UserError, match="workdir: 'runs/sample/"):
                directory.append_metrics({"x": "y" * 1000})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        after = contents(directory.path)
        assert after.keys() == before.keys()
        assert after["records/a.json"] == before["records/a.json"]
        assert directory.metrics() == [{"x": 1}]
        directory.append_metrics({"x": 2})
        assert directory.metrics() == [{"x": 1}, {"x": 2}]


@pytest.mark.parametrize(
    "spec", ["max_pool", "lp_pool(p=3.0, normalize=False)", "../../escape", "a b/c"]
)
def test_an_arm_is_one_safe_name(spec):
    name = arm_directory(spec)
    assert len(name) == len(spec)
    assert not set(name) & set("/(), =")


def test_the_environment_names_versions_and_devices_but_no_place():
    found = environment()
    assert found["device_count"] >= 1 and found["cpu_threads"] >= 1
    for package in ("python", "jax", "jaxlib", "flax", "optax", "numpy"):
        assert found[package][0].isdigit()
    text = json.dumps(found, allow_nan=False)
    assert os.uname().nodename not in text
    assert str(Path.home()) not in text
