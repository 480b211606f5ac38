"""`describe`: what it prints is what it counts, and bad values are refused."""

import dataclasses
import json
import shlex
import subprocess
import sys

import pytest

from cnnlab.diagnostics import cost
from cnnlab.errors import UserError
from experiments import describe
from experiments.describe import Config
from experiments.harness import flags, networks


def test_prints_the_table_and_writes_it(tmp_path, capsys):
    path = tmp_path / "costs.json"
    describe.main(Config(model="lenet5", json=str(path), width=80))
    text = capsys.readouterr().out
    costs = json.loads(path.read_text())
    assert costs["input"] == [1, 28, 28, 1]
    assert shlex.split(costs["command"])[3:] == [
        "--model=lenet5",
        f"--json={path}",
        "--width=80",
    ]
    assert costs["parameters"] == 61_706
    assert [
        row["receptive_field"] for row in costs["rows"] if "max_pool" in row["name"]
    ] == [
        [6, 6],
        [16, 16],
    ]
    assert text.startswith("lenet5, 1x28x28x1\n")
    assert "parameters            61,706\n" in text
    assert max(map(len, text.splitlines())) <= 80


def test_flags_reach_the_model():
    config = Config(
        model="resnet20(shortcut='projection')",
        input="24x16x1",
        num_classes=7,
        pool="avg_pool",
        downsample="blur_pool(window_shape=3)",
        boundary="circular",
        batch_size=3,
        dtype="bfloat16",
    )
    costs = describe.run(config)
    names = [row["name"] for row in costs["rows"]]
    assert costs["input"] == [3, 24, 16, 1]
    assert costs["rows"][-1]["output_shape"] == [3, 7]
    assert {"avg_pool", "blur_pool"} <= set(names)
    assert any("projection" in row["path"] for row in costs["rows"])
    assert {row["padding_share"] for row in costs["rows"]} == {0}
    full = describe.run(dataclasses.replace(config, dtype="float32"))
    assert full["macs"] == costs["macs"]
    assert full["forward_bytes"] > costs["forward_bytes"]


def test_memory_in_training_is_that_of_training():
    """Batch normalisation by the batch's own statistics keeps more."""
    costs = describe.run(Config(model="resnet20"))
    import jax
    import jax.numpy as jnp

    from cnnlab.models import create_model

    model, images = (
        create_model("resnet20"),
        jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32),
    )
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    evaluation = cost.count(model.apply, variables, images)
    assert evaluation.rows == cost.count(model.apply, variables, images).rows
    assert costs["training_bytes"] > evaluation.training_bytes
    assert costs["forward_bytes"] == evaluation.forward_bytes


@pytest.mark.parametrize("size, shape", [("40", (40, 40, 3)), ("40x36", (40, 36, 3))])
def test_a_size_leaves_the_channels_as_they_are(size, shape):
    assert networks.image_shape(size, (32, 32, 3)) == shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "resnet21"}, "model: unknown model 'resnet21'"),
        ({"model": "resnet20(depth=3)"}, "model: resnet20"),
        ({"pool": "max_pol"}, "pool: unknown pool 'max_pol'"),
        ({"pool": "lp_pool(q=3)"}, "pool: lp_pool has no option 'q'"),
        ({"downsample": "blur"}, "downsample: unknown pool 'blur'"),
        ({"boundary": "torus"}, "boundary: 'torus' is not one of zero, circular"),
        ({"dtype": "float8"}, "dtype: 'float8' is not one of float32"),
        ({"input": "0"}, "input: '0' is no size; write 224"),
        ({"input": "32x32x3x1"}, "input: '32x32x3x1' is no size"),
        ({"input": "2"}, r"input: '2x2x1' does not fit: "),
        ({"input": "9" * 20}, "input: '9*' is more than 1,000,000 a side"),
        ({"pool": "lp_pool(p=-1)"}, r"pool: 'lp_pool\(p=-1\)' does not fit: p -1 must"),
        (
            {"model": "lenet5(pool='lp_pool(p=0)')"},
            r"model: 'lenet5\(pool='lp_pool\(p=0\)'\)' does not fit: p 0 must",
        ),
        ({"num_classes": 0}, "num_classes: 0 is less than 1"),
        ({"batch_size": 0}, "batch_size: 0 is less than 1"),
        ({"width": 20}, "width: 20 is less than 80"),
    ],
)
def test_bad_input_is_refused(change, message):
    with pytest.raises(UserError, match=f"^{message}") as caught:
        describe.run(Config(**{"model": "lenet5", **change}))
    assert "\n" not in str(caught.value)


def test_the_flag_that_brings_a_fault_about_is_blamed():
    """Images that the network takes by itself are not, whatever is given with them."""
    config = Config(
        model="lenet5", input="32", boundary="circular", downsample="lp_pool(p=-2)"
    )
    with pytest.raises(UserError, match="^downsample: 'lp_pool.p=-2.' does not fit"):
        describe.run(config)
    describe.run(dataclasses.replace(config, downsample="lp_pool(p=2)"))


@pytest.mark.parametrize(
    "change",
    [
        {"model": "lenet5"},
        {"input": "32"},
        {"pool": "max_pool"},
        {"boundary": "circular"},
        {"batch_size": 2},
        {"dtype": "float64"},
        {"width": 80},
    ],
)
def test_an_overview_takes_no_flag_of_one_model(change):
    (flag,) = change
    with pytest.raises(UserError, match=f"^{flag}: is not for --all, which"):
        flags.checked(Config(all=True, **change))


def test_float64_takes_twice_the_memory():
    def costs(dtype):
        return describe.run(Config(model="lenet5", dtype=dtype))

    single, double = costs("float32"), costs("float64")
    assert double["macs"] == single["macs"]
    assert double["forward_bytes"] == 2 * single["forward_bytes"]
    assert costs("float32") == single


def test_a_file_that_cannot_be_written_is_named_before_anything_is_counted(tmp_path):
    path = tmp_path / "no" / "such" / "folder.json"
    for options in ({"model": "lenet5"}, {"all": True}):
        with pytest.raises(UserError, match=f"^json: '{path}': No such file"):
            flags.checked(Config(**options, json=str(path)))
        with pytest.raises(UserError, match=f"^json: '{tmp_path}': Is a directory"):
            flags.checked(Config(**options, json=str(tmp_path)))


def test_a_file_that_refuses_to_be_written_is_named(tmp_path, capsys):
    path = tmp_path / ("long" * 100)
    with pytest.raises(UserError, match=f"^json: '{path}': File name too long"):
        describe.main(Config(model="lenet5", json=str(path)))
    assert "parameters            61,706" in capsys.readouterr().out


def test_the_command_refuses_in_one_line():
    command = [sys.executable, "-m", "experiments.describe", "--model=resnet"]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 2
    assert done.stderr.startswith("--model: unknown model 'resnet'; choose from ")
    assert done.stderr.count("\n") == 1


def test_an_overview_has_a_row_for_every_model(monkeypatch, capsys, tmp_path):
    from cnnlab import models

    monkeypatch.setattr(models, "list_models", lambda: ["lenet5", "zeiler_fergus"])
    describe.main(Config(all=True, json=str(tmp_path / "all.json")))
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| `lenet5` | 61,706 | 416,520 | 16 | 4 | 28x28x1 |"
    assert [
        row["model"] for row in json.loads((tmp_path / "all.json").read_text())
    ] == [
        "lenet5",
        "zeiler_fergus",
    ]
    assert len(lines) == 4


def test_shifts_are_told_layer_by_layer(tmp_path, capsys):
    path = tmp_path / "shifts.json"
    describe.main(
        Config(model="resnet20", boundary="circular", shifts=True, json=str(path))
    )
    text = capsys.readouterr().out
    found = json.loads(path.read_text())
    (output,) = found["outputs"]
    assert (output["shifts"], output["axes"]) == ([4, 4], [None, None])
    assert found["breaks"][0]["path"] == "CifarResNet/BasicBlock_3/Conv_0"
    assert "BasicBlock_3/Conv_0 conv: all to 2; keeps one entry in 2" in text
