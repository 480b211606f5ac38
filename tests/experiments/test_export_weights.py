"""Export: a trained net as one file, and back again."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from safetensors import safe_open

from cnnlab import training
from cnnlab.errors import UserError
from cnnlab.models import create_model, load_pretrained
from cnnlab.models.pretrained import describe_weights
from experiments.export import Config, main, run


@pytest.fixture(scope="module")
def exported(finished_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "net.safetensors"
    words = f"{finished_run[0]}:lp_pool(p=3.0):1"
    return run(Config(checkpoint=words, output=str(path)))


def test_a_round_trip_keeps_every_bit(finished_run, exported):
    wanted = training.load(finished_run[0], "lp_pool(p=3.0)", 1).variables
    description = describe_weights(exported)
    loaded = load_pretrained(description.create(), exported)
    assert jax.tree.structure(loaded) == jax.tree.structure(wanted)
    for ours, theirs in zip(
        jax.tree.leaves(loaded), jax.tree.leaves(wanted), strict=True
    ):
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()


def test_the_file_says_what_it_is(finished_run, exported):
    config = training.load(finished_run[0], "lp_pool(p=3.0)", 1).config
    assert describe_weights(exported) == config.description
    with safe_open(exported, framework="numpy") as file:
        assert "params/Conv_0/kernel" in file.keys()
        assert file.metadata()["model"] == "lenet5"
        assert file.metadata()["num_classes"] == "10"
        assert '"pool": "lp_pool(p=3.0)"' in file.metadata()["options"]


def test_its_weights_serve_any_pool_without_weights(exported):
    model = create_model("lenet5", pool="avg_pool")
    scores = model.apply(load_pretrained(model, exported), jnp.ones((1, 16, 16, 1)))
    assert jnp.isfinite(scores).all()


def test_weights_for_another_number_of_classes_are_refused(exported):
    message = r"'params/Dense_2/.*' of shape \[.*10\], and the model needs \[.*7\]"
    with pytest.raises(UserError, match=message):
        load_pretrained(create_model("lenet5", num_classes=7), exported)


def test_the_default_name_says_which_net_it_is(
    finished_run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    config = Config(checkpoint=str(finished_run[0]))
    main(config)
    (path,) = tmp_path.iterdir()
    assert path.name == "lenet5-max_pool-seed0.safetensors"
    assert capsys.readouterr().out == f"{path.name}: {path.stat().st_size:,} bytes\n"
    with pytest.raises(UserError, match="^output: .*exists; --overwrite"):
        run(config)


def test_a_file_is_replaced_where_that_is_asked_for(finished_run, tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"other")
    config = Config(checkpoint=str(finished_run[0]), output=str(path), overwrite=True)
    assert describe_weights(run(config)).model == "lenet5"


def test_a_file_that_cannot_be_written_is_told(finished_run, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    output = str(tmp_path / "file" / "net.safetensors")
    with pytest.raises(UserError, match="^output: .*file"):
        run(Config(checkpoint=str(finished_run[0]), output=output))


def test_the_command_line_refuses_in_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.export", f"--checkpoint={tmp_path}/none"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == f"--checkpoint: '{tmp_path}/none' is not a directory\n"
    assert done.stdout == ""


def test_a_checkpoint_is_needed():
    with pytest.raises(UserError, match="^checkpoint: is needed"):
        run(Config())
