"""What a training run writes, and what it refuses."""

import json
import os
import shutil
import struct
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest
from small_training import at, facts, glyphs, lines, run, spare

from cnnlab import training
from cnnlab.errors import UserError
from cnnlab.models import load_pretrained
from cnnlab.training import checkpoint
from experiments import export, train
from experiments.harness import compile_cache, event_files, flags
from experiments.harness.environment import environment
from experiments.harness.workdir import WorkDirectory
from experiments.training import run as training_run
from experiments.training.early_stopping import Patience
from experiments.training.run_checkpoints import RunCheckpoints

pytestmark = pytest.mark.usefixtures("small")


def stored(workdir, name):
    return json.loads((Path(workdir) / name).read_text())


def test_results_follow_from_what_is_stored(uninterrupted):
    workdir, results = uninterrupted
    assert stored(workdir, "results.json") == json.loads(json.dumps(results))
    assert results["status"] == "complete"
    (arm,) = results["arms"]
    for seed in arm["seeds"]:
        folder = workdir / "checkpoints" / "tiny" / f"seed{seed['seed']}"
        tree = checkpoint.restore(folder / str(seed["steps"]))
        assert checkpoint.params_hash(tree["params"]) == seed["params_hash"]
        with np.load(workdir / f"predictions/tiny/seed{seed['seed']}.npz") as file:
            right = np.mean(file["logits"].argmax(-1) == glyphs().test.labels)
        assert seed["test_accuracy"] == pytest.approx(right, abs=1e-12)
    first, second = (seed["params_hash"] for seed in arm["seeds"])
    assert first != second


def test_lines_tell_each_epoch_of_each_seed_once(uninterrupted):
    workdir, _ = uninterrupted
    places = [
        (line["seed"], line["split"], line["epoch"], line["step"])
        for line in lines(workdir)
    ]
    # The last epoch is cut short by the number of steps.
    assert sorted(places) == sorted(
        [
            (seed, split, epoch, step)
            for seed in (0, 1)
            for split in ("train", "validation")
            for epoch, step in ((1, 4), (2, 8), (3, 11))
        ]
        + [(seed, "test", 3, 11) for seed in (0, 1)]
    )


def test_a_trained_net_is_loaded_and_exported(tmp_path):
    """With options of the model, averaged weights and augmented images."""
    workdir = tmp_path / "run"
    results = run(
        workdir,
        pool="avg_pool",
        dtype="bfloat16",
        ema_decay=0.9,
        augment=("random_flip",),
        seeds=1,
    )
    (seed,) = results["arms"][0]["seeds"]
    loaded = training.load(workdir)
    tree = checkpoint.restore(
        workdir / "checkpoints" / "tiny_pool_avg_pool_" / "seed0" / "11"
    )
    assert loaded.config.arm == "tiny[pool=avg_pool]"
    options = {"pool": "avg_pool", "dtype": "bfloat16"}
    assert loaded.config.description.options == options
    averaged = checkpoint.params_hash(tree["average"]["params"])
    assert seed["params_hash"] == averaged != checkpoint.params_hash(tree["params"])
    with np.load(workdir / "predictions/tiny_pool_avg_pool_/seed0.npz") as file:
        logits = file["logits"]
    images = glyphs().test.images
    np.testing.assert_array_equal(loaded.predict(images), logits)
    path = export.run(
        export.Config(checkpoint=str(workdir), output=str(tmp_path / "a.safetensors"))
    )
    exported = load_pretrained(loaded.config.description.create(), path)
    jax.tree.map(np.testing.assert_array_equal, exported, loaded.variables)


def test_validation_and_test_tell_the_loss_that_is_trained(tmp_path):
    workdir = tmp_path / "run"
    results = run(workdir, loss="mean_squared_error", steps=4, seeds=1)
    loss = {line["split"]: line["loss"] for line in lines(workdir)}
    (seed,) = facts(results)
    assert seed["test_loss"] == loss["test"]
    predict, images = training.load(workdir).predict, glyphs()
    _, held_out = training.validation_split(80, 0.2, 0)
    for split, scored in (
        ("validation", (images.train.images[held_out], images.train.labels[held_out])),
        ("test", (images.test.images, images.test.labels)),
    ):
        wanted = np.mean((predict(scored[0]) - np.eye(10)[scored[1]]) ** 2)
        assert loss[split] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"overwrite": False}, []),
        ({"progress": "lines"}, []),
        ({"tensorboard": True}, ["--tensorboard writes nothing of a run that is"]),
        ({"profile": "3:5"}, ["--profile writes nothing of a run that is finished"]),
    ],
)
def test_a_finished_run_is_not_run_again(
    uninterrupted, monkeypatch, capsys, change, said
):
    workdir, results = uninterrupted
    monkeypatch.setattr(training_run.TrainingRun, "train", None)
    monkeypatch.setattr(event_files, "require", lambda: None)
    train.main(at(workdir, **change))
    shown = capsys.readouterr().out
    assert "--overwrite runs it again\n" in shown
    assert f"{workdir}/report.html" in shown
    told = [line for line in shown.splitlines() if "writes nothing" in line]
    assert len(told) == len(said)
    assert all(map(str.startswith, told, said))


def test_a_run_without_steps_to_make_traces_none(begun, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(training, "predictor", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(begun)
    run(begun, profile="5:100", progress="lines")
    told = capsys.readouterr().err
    assert told.count("--profile=5:100 w") == 1
    assert "--profile=5:100 writes nothing: the run goes on from step 11; " in told


@pytest.mark.parametrize("profile, missed", [("1:4", True), ("1:5", False)])
def test_a_trace_of_steps_that_are_made_is_missed(
    begun, capsys, monkeypatch, profile, missed
):
    traced = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: traced.append(4))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: traced.append("end"))
    run(begun, profile=profile, progress="lines")
    told = f"--profile={profile} writes nothing: the run goes on from step 4; "
    assert (told in capsys.readouterr().err) == missed
    assert traced == ([] if missed else [4, "end"])


def test_the_engine_is_settled_once(tmp_path, monkeypatch):
    from cnnlab.training import fastest

    workdir = tmp_path / "run"
    timed = []

    def slowest_first(engines, *args, **more):
        timed.append([engine.name for engine in engines])
        return engines[1], {engine.name: 0.1 for engine in engines}

    monkeypatch.setattr(fastest, "fastest", slowest_first)
    with monkeypatch.context() as patch:
        patch.setattr(training, "evaluate", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(workdir, seed_engine="auto")
    config = stored(workdir, "config.json")
    assert config["seed_engine"] == timed[0][1] == "map"
    assert set(config["seed_engine_seconds"]) >= {"loop", "map", "vmap"}
    results = run(workdir, seed_engine="auto")
    assert len(timed) == 1
    assert results["environment"]["seed_engine"] == "map"
    assert stored(workdir, "config.json") == config


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """The directory of a run with a checkpoint."""
    save = RunCheckpoints.save

    def save_and_end(self, *args):
        save(self, *args)
        _interrupt()

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoints, "save", save_and_end)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "run")
    return tmp_path / "run"


def refused(workdir, message, **changes):
    with pytest.raises(UserError, match=f"^{message}") as caught:
        run(workdir, **changes)
    assert "\n" not in str(caught.value)


def test_threads_that_xla_is_given_are_those_that_are_recorded(monkeypatch):
    monkeypatch.setenv("NPROC", "7")
    assert environment()["cpu_threads"] == 7
    monkeypatch.setenv("NPROC", "none")
    assert environment()["cpu_threads"] == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    "name, there",
    [("cnnlab", "'0.0'"), ("cpu_threads", "999"), ("seed_engine", "'vmap'")],
)
def test_going_on_elsewhere_has_to_be_allowed(begun, capsys, name, there):
    config = stored(begun, "config.json")
    place = config if name == "seed_engine" else config["environment"]
    here = place[name]
    place[name] = there = json.loads(there.replace("'", '"'))
    (begun / "config.json").write_text(json.dumps(config))
    refused(begun, f"allow_rounding: '.*' was begun with {name} {there}, and this is")
    run(begun, allow_rounding=True, progress="lines")
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


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path, capsys):
    workdir = tmp_path / "run"
    with pytest.raises(SystemExit) as ended:
        _main(at(workdir, learning_rate=1e30, clip=0.0))
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("--learning_rate: the loss is not finite at step ")
    for part in (" of tiny, seed 0, at a peak rate of 1e+30;", "checkpoint is none"):
        assert part in line
    assert not (workdir / "results.json").exists()


def test_weights_that_are_not_finite_are_no_good_checkpoint(tmp_path, monkeypatch):
    states = training_run.Stepper.states

    def spoilt(self):
        made = states(self)
        if self._epoch == 1:
            made[1].params["Dense_0"]["bias"] = np.float32([np.nan])
        return made

    monkeypatch.setattr(training_run.Stepper, "states", spoilt)
    refused(
        tmp_path / "run",
        "learning_rate: the weights are not finite after step 8 of tiny, seed 1, .*; "
        f"the last good checkpoint is {tmp_path}/run/checkpoints/tiny/seed1/4$",
    )


def _main(config):
    """The program, as its command starts it."""
    argv = flags.command_line(config).replace("'", "").split()[3:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["train", *argv, "--progress=none"])
        flags.main(train.Config, train.main, usage="")


def _interrupt(*_, **__):
    raise KeyboardInterrupt


def records(path):
    """The events of a file, by the package that others read them with."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    content, at = path.read_bytes(), 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        data = content[at + 12 : at + 12 + length]
        sums = [content[at + 8 : at + 12], content[at + 12 + length :][:4]]
        for part, sum_ in zip((content[at : at + 8], data), sums, strict=True):
            assert struct.pack("<I", masked_crc32c(part)) == sum_
        yield Event.FromString(data)
        at += 16 + length


def test_event_files_hold_the_lines_however_often_a_run_goes_on(
    begun, uninterrupted, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(training, "predictor", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(begun, tensorboard=True)
    run(begun, tensorboard=True)
    told = {}
    for path in (begun / "tensorboard").rglob("*tfevents*"):
        arm, seed, split = path.parent.relative_to(begun / "tensorboard").parts
        version, *events = records(path)
        assert version.file_version == "brain.Event:2"
        for event in events:
            (value,) = event.summary.value
            place = arm, seed, split, event.step, value.tag
            assert place not in told
            told[place] = value.simple_value
    wanted = {
        ("tiny", f"seed{line['seed']}", line["split"], line["step"], tag): line[tag]
        for line in lines(uninterrupted[0])
        for tag in ("loss", "accuracy", "learning_rate")
    }
    assert told == pytest.approx(wanted, rel=1e-6)


def test_event_files_need_their_package(tmp_path, monkeypatch):
    monkeypatch.setattr(event_files.importlib.util, "find_spec", lambda name: None)
    message = r"tensorboard: needs tensorboardX: pip install 'cnnlab\[tensorboard\]'"
    refused(tmp_path / "run", message, tensorboard=True)
    assert not (tmp_path / "run").exists()


def test_patience_keeps_the_first_best_and_takes_no_step_twice():
    patience = Patience(2)
    told = []
    for step, accuracy in ((4, 0.5), (4, 0.9), (8, 0.7), (12, 0.7), (16, 0.6), (20, 1)):
        patience.note(step, accuracy)
        told.append((patience.accuracy, patience.step, patience.settled))
    assert told == [
        (0.5, 4, False),
        (0.5, 4, False),
        (0.7, 8, False),
        (0.7, 8, False),
        (0.7, 8, True),
        (0.7, 8, True),
    ]
    forever = Patience(0)
    for step in range(1, 9):
        forever.note(step, 1 / step)
    assert not forever.settled and forever.step == 1


# By epoch, then seed: settled after two epochs without a better one.
ACCURACIES = ((0.5, 0.1), (0.4, 0.3), (0.5, 0.2), (0.9, 0.1))
STOPPING = {"steps": 40, "patience": 2, "keep": 3}


@pytest.fixture
def validated(monkeypatch):
    """Gives the seeds these accuracies, and tells of each time: (seed, step)."""
    validate, made = training_run.TrainingRun._validate, []

    def told(self, *args):
        scores = validate(self, *args)
        row = ACCURACIES[self._step // 4 - 1]
        made.extend((k, self._step) for k, each in enumerate(scores) if each)
        return [
            each and each._replace(score=each.score._replace(accuracy=accuracy))
            for each, accuracy in zip(scores, row, strict=True)
        ]

    monkeypatch.setattr(training_run.TrainingRun, "_validate", told)
    return made


def test_early_stopping_takes_each_seeds_best(tmp_path, validated, capsys, monkeypatch):
    monkeypatch.setattr(jax.profiler, "start_trace", None)
    results = run(tmp_path / "run", **STOPPING, profile="16:20", progress="lines")
    # It ends where the trace would have begun.
    told = "--profile=16:20 wrote nothing: the run ended after step 16"
    assert told in capsys.readouterr().err.splitlines()
    best = [(seed["steps"], seed["validation_accuracy"]) for seed in facts(results)]
    assert best == [(4, 0.5), (8, 0.3)]
    for seed, (step, _) in enumerate(best):
        assert training.load(tmp_path / "run", seed=seed).config.steps == step
    assert results["notes"][0].startswith("A seed's curve ends where")
    # The first is settled at 12, and nothing more is told or asked of it.
    made = [(0, 4), (1, 4), (0, 8), (1, 8), (0, 12), (1, 12), (1, 16)]
    assert validated == made
    for split in ("train", "validation"):
        told = (line for line in lines(tmp_path / "run") if line["split"] == split)
        assert [(line["seed"], line["step"]) for line in told] == made


def test_a_damaged_best_net_is_made_again(tmp_path, validated, capsys, monkeypatch):
    whole = run(tmp_path / "whole", **STOPPING)
    save = RunCheckpoints.save

    def save_and_end(self, position, scores):
        save(self, position, scores)
        if position.step == 12:
            _interrupt()

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoints, "save", save_and_end)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "run", **STOPPING)
    for seed, step, where in (
        (0, 4, "no whole checkpoint is left of every seed; the run begins anew"),
        (1, 8, "goes on from step 4 of 40"),
    ):
        workdir = shutil.copytree(tmp_path / "run", tmp_path / f"damaged{seed}")
        (index,) = workdir.glob(f"checkpoints/*/seed{seed}/{step}/index.json")
        index.unlink()
        results = run(workdir, **STOPPING, progress="lines")
        told = capsys.readouterr().err.splitlines()
        (at,) = (k for k, line in enumerate(told) if "is damaged (" in line)
        assert f"step {step} in" in told[at] and f"seed{seed}" in told[at]
        assert told[at].endswith("; the run goes back to make it again")
        assert told[at + 1] == where
        assert facts(results) == facts(whole)
        assert lines(workdir) == lines(tmp_path / "whole")


def test_what_a_settled_seed_comes_to_ends_no_run(tmp_path, validated, monkeypatch):
    wanted = facts(run(tmp_path / "whole", **STOPPING))
    states, totals = training_run.Stepper.states, training_run.Stepper.totals

    def spoilt(self):
        made = states(self)
        if self._epoch == 3:
            made[0].params["Dense_0"]["bias"] = np.float32([np.nan])
        return made

    def diverged(self):
        made = totals(self)
        if self._epoch == 3:
            made[0] = made[0]._replace(diverged_at=np.int32(13))
        return made

    monkeypatch.setattr(training_run.Stepper, "states", spoilt)
    monkeypatch.setattr(training_run.Stepper, "totals", diverged)
    assert facts(run(tmp_path / "run", **STOPPING)) == wanted


@pytest.mark.slow
def test_a_second_start_compiles_nothing(tmp_path, monkeypatch):
    """Neither one that goes on nor one that has to begin again."""
    monkeypatch.undo()
    workdir = tmp_path / "run"
    folder = workdir / "compile_cache"
    spare(monkeypatch, folder)
    jax.clear_caches()
    with monkeypatch.context() as patch:
        patch.setattr(training, "predictor", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(workdir, validation_fraction=0.0)
    jax.clear_caches()
    first = run(workdir, validation_fraction=0.0)
    # Its nets had only to be scored.
    assert first["programs_compiled"] is None
    kept = {path.name for path in folder.glob("*-cache")}
    # Quick compilations are among them.
    assert len(kept) > 20
    for removed in ("results.json", "metrics.jsonl"):
        (workdir / removed).unlink()
        shutil.rmtree(workdir / "checkpoints")
        (workdir / "checkpoints").mkdir()
        jax.clear_caches()
        again = run(workdir, validation_fraction=0.0)
        assert again["programs_compiled"] == 0 < again["compile_seconds"]
        assert {path.name for path in folder.glob("*-cache")} == kept
        (workdir / "metrics.jsonl").touch()


def test_a_program_that_was_half_written_is_compiled_again(tmp_path, monkeypatch):
    monkeypatch.undo()
    whole, torn, empty = (tmp_path / f"{name}-cache" for name in "abc")
    whole.write_bytes(zlib.compress(b"program"))
    empty.touch()
    torn.write_bytes(zlib.compress(b"another")[:-3])
    os.utime(empty, (0, 0))
    os.utime(whole, (1, 1))
    before = jax.config.jax_compilation_cache_dir
    with compile_cache.kept_in(tmp_path):
        # All processes before came to their end.
        assert whole.exists() and torn.exists() and empty.exists()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path)
    assert jax.config.jax_compilation_cache_dir == before
    with pytest.raises(KeyboardInterrupt), compile_cache.kept_in(tmp_path):
        _interrupt()
    with compile_cache.kept_in(tmp_path):
        assert whole.exists() and not torn.exists() and not empty.exists()
