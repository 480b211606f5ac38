"""What the flags of a training run refuse, before anything is written or compiled."""

import dataclasses
import errno
import os

import jax
import numpy as np
import pytest

from cnnlab import data
from cnnlab.data import Dataset, Split
from cnnlab.errors import UserError
from experiments import train
from experiments.harness import flags, profiling
from experiments.harness.run_flags import run_usage

EXAMPLES = 200


@pytest.fixture(autouse=True, scope="module")
def nothing_is_compiled_already():
    jax.clear_caches()


@pytest.fixture(autouse=True)
def compiled():
    """The programs that a test compiles, by whatever way; at its end there are none."""
    programs = []

    def note(event, seconds, **about):
        if event == "/jax/core/compile/backend_compile_duration":
            programs.append(about)

    jax.monitoring.register_event_duration_secs_listener(note)
    yield programs
    jax.monitoring.unregister_event_duration_listener(note)
    assert programs == []


def test_what_is_compiled_is_seen(compiled):
    jax.jit(lambda x: 3 * x)(np.float32(1))
    assert len(compiled) == 1
    jax.jit(lambda x: 5 * x).lower(np.float32(1)).compile()
    assert len(compiled) == 2
    compiled.clear()


def images(*shape, classes=10):
    split = Split(np.zeros((EXAMPLES, *shape), np.uint8), np.zeros(EXAMPLES, np.int32))
    names = tuple(map(str, range(classes)))
    return Dataset("images", split, split, names, "0" * 64)


def refused(tmp_path, message, **changes):
    config = train.Config(workdir=str(tmp_path / "run"), progress="none")
    with pytest.raises(UserError, match=f"^{message}") as caught:
        train.run(dataclasses.replace(config, **changes))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


# What each flag refuses, that flag first.
WRONG_VALUES = [
    ({"recipe": "quik"}, "recipe: unknown recipe 'quik'; choose from .*quick"),
    ({"recipe": "quick(a=1)"}, "recipe: quick has no option 'a'"),
    ({"epochs": 0}, "epochs: 0 is not a whole number of at least 1; none takes"),
    ({"epochs": 0, "recipe": "cifar_resnet"}, "epochs: 0 is not"),
    ({"steps": 0}, "steps: 0 is not a whole number of at least 1; none takes"),
    ({"steps": 0, "epochs": 3}, "steps: 0 is not"),
    ({"epochs": 3, "steps": 4}, "epochs: 3 and steps 4"),
    ({"steps": -1}, "steps: -1 is not"),
    ({"batch_size": 0}, "batch_size: 0 is not"),
    ({"learning_rate": 0.0}, "learning_rate: 0.0 is not"),
    ({"learning_rate": float("nan")}, "learning_rate: nan is not"),
    ({"schedule": "step"}, "schedule: .*choose from constant, cosine"),
    ({"momentum": 1.0}, "momentum: 1.0 is not"),
    ({"weight_decay": -1.0}, "weight_decay: -1.0 is not"),
    ({"clip": -1.0}, "clip: -1.0 is not"),
    ({"label_smoothing": 1.0}, "label_smoothing: 1.0 is not"),
    ({"mixup": -0.1}, "mixup: -0.1 is not"),
    ({"loss": "hinge"}, "loss: 'hinge' is not one of cross_entropy, "),
    ({"optimizer": "sgd"}, "optimizer: 'sgd' is not one of momentum, "),
    ({"ema_decay": 1.0}, "ema_decay: 1.0 is not"),
    ({"accumulate": 3}, "accumulate: 3 is not a divisor of batch_size, 128"),
    ({"augment": ("flip",)}, "augment: .*unknown augmentation 'flip'; choose from"),
    ({"augment": "random_flip"}, "augment: 'random_flip' is not a list"),
    ({"validation_fraction": 1.0}, "validation_fraction: 1.0 is not"),
    ({"patience": -1}, "patience: -1 is not"),
    ({"patience": 1, "validation_fraction": 0.0}, "patience: 1 is not 0, and"),
    ({"dtype": "float16"}, "dtype: 'float16' is not one of float32, bfloat16, "),
    ({"seeds": 0}, "seeds: 0 is less than 1"),
    ({"keep": 1}, "keep: 1 is less than 2"),
    ({"image_size": 0}, "image_size: 0 is less than 1"),
    ({"train_examples": 0}, "train_examples: 0 is less than 1"),
    ({"seed_engine": "pmap"}, "seed_engine: 'pmap' is not one of auto, loop, "),
    ({"profile": "5:5"}, "profile: '5:5' is not START:STOP"),
    ({"progress": "loud"}, "progress: 'loud' is not one of auto, bar, "),
    ({"boundary": "loud"}, "boundary: 'loud' is not one of zero, "),
    ({"model": "lenet6"}, "model: unknown model 'lenet6'; choose from .*lenet5"),
    ({"model": "lenet5(depth=3)"}, "model: lenet5 has no option 'depth'"),
    ({"model": "lenet5(pool='max_pool')"}, "model: .* sets pool; use --pool"),
    ({"model": "lenet5(dtype='bfloat16')"}, "model: .* use --dtype"),
    ({"pool": "no_pool"}, "pool: .*unknown pool 'no_pool'; choose from .*avg"),
    ({"downsample": "no_pool"}, "downsample: .*'no_pool'; choose from"),
    ({"dataset": "mnits"}, "dataset: "),
    (
        {"data_dir": "/nowhere", "dataset": "mnist"},
        "data_dir: '/nowhere' is not a folder; for mnist, prepare it with: python",
    ),
    ({"pixels": "grey"}, "pixels: 'grey' is not one of standard, unit"),
    ({"workdir": 3}, "workdir: 3 is not a string"),
    ({"overwrite": "no"}, "overwrite: 'no' is not a bool"),
    ({"allow_rounding": 1}, "allow_rounding: 1 is not a bool"),
    ({"tensorboard": "yes"}, "tensorboard: 'yes' is not a bool"),
]


@pytest.mark.parametrize("change, message", WRONG_VALUES)
def test_a_wrong_value_is_named_by_its_flag(tmp_path, change, message):
    refused(tmp_path, message, **change)


def test_every_flag_has_a_value_that_it_refuses():
    tried = {next(iter(change)) for change, _ in WRONG_VALUES}
    assert tried == {item.name for item in dataclasses.fields(train.Config)}


@pytest.mark.parametrize(
    "shape, change, message",
    [
        (
            (28, 28, 1),
            {"augment": ("random_flip", "random_hue(turns=0.1)")},
            "augment: random_hue.* changes nothing in images of one channel",
        ),
        ((28, 28, 1), {"augment": ("pca_noise",)}, "augment: pca_noise: 1 channels"),
        (
            (32, 32, 3),
            {"model": "resnet20(num_classes=100)"},
            "model: .* has num_classes 100, and images has 10 classes; leave it to",
        ),
        (
            (28, 28, 1),
            {"model": "resnet18"},
            "model: resnet18 has a stride of 32 pixels, and the images are 28x28x1; ",
        ),
        ((28, 28, 1), {"model": "lenet5_1998"}, "model: lenet5_1998 cannot take 28x28"),
        ((8, 8, 3), {}, "model: lenet5 cannot take 8x8x3 images: "),
        ((28, 28, 1), {"model": "vgg16"}, "model: vgg16 "),
        (
            (28, 28, 1),
            {"pool": "lp_pool(p=0.5)"},
            "pool: lp_pool.* in lenet5 on 28x",
        ),
        (
            (28, 28, 1),
            {"downsample": "lp_pool(p=0.5)"},
            "downsample: .* in lenet5 on 28x28x1 images: p 0.5 must be",
        ),
        (
            (28, 28, 1),
            {"batch_size": 181},
            "batch_size: 181 is more than the 180 training images",
        ),
        (
            (28, 28, 1),
            {"patience": 1, "validation_fraction": 0.001},
            "validation_fraction: 0.001 of 200 images is none",
        ),
        (
            (28, 28, 1),
            {"profile": "30:31"},
            "profile: '30:31' begins after the run's 30 steps",
        ),
        (
            (28, 28, 1),
            {"seed_engine": "vmap"},
            "seed_engine: 'vmap' needs more than one seed; here serve auto, loop",
        ),
        (
            (28, 28, 1),
            {"seed_engine": "devices", "seeds": 2},
            "seed_engine: 'devices' needs .* as many devices as divide their number",
        ),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, monkeypatch, shape, change, message):
    monkeypatch.setattr(data, "load", lambda *args, **more: images(*shape))
    if change.get("seed_engine") == "devices" and len(jax.devices()) > 1:
        pytest.skip("several devices are there")
    refused(tmp_path, message, **{"batch_size": 32, **change})


def test_a_net_without_a_fixed_size_takes_small_images(monkeypatch):
    from experiments.harness.recipe_flags import chosen_recipe
    from experiments.training.plan import plan

    config = train.Config(model="all_cnn_c", batch_size=32)
    planned = plan(config, chosen_recipe(config), images(28, 28, 1, classes=100))
    assert planned.job.task.model.num_classes == 100
    assert planned.job.steps == 6 * (180 // 32)


@pytest.mark.parametrize(
    "words, line",
    [
        (["--seeds=two"], "--seeds: 'two' is not an integer"),
        (["--learning_rte=1"], "--learning_rte: unknown flag; did you mean "),
        (["--epochs=3", "--steps=4"], "--epochs: 3 and steps 4"),
        (["mnist"], "unexpected argument 'mnist'"),
    ],
)
def test_the_program_refuses_in_one_line(monkeypatch, capsys, words, line):
    monkeypatch.setattr("sys.argv", ["train", *words])
    with pytest.raises(SystemExit) as ended:
        flags.main(train.Config, train.main, usage="")
    told = capsys.readouterr()
    assert ended.value.code == 2 and told.out == ""
    assert told.err.startswith(line) and told.err.count("\n") == 1


def test_the_help_tells_of_recipes_and_exit_codes(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["train", "--help"])
    with pytest.raises(SystemExit) as ended:
        flags.main(train.Config, train.main, usage=run_usage(train.__doc__))
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    for part in ("64,000 steps", "Exit codes: 0 finished, 2 ", "143 SIGTERM"):
        assert part in shown
    flag = [f"--{item.name}" for item in dataclasses.fields(train.Config)]
    assert all(name in shown.replace("--[no]", "--") for name in flag)
    assert max(map(len, shown.splitlines())) <= 88


def test_a_trace_that_cannot_be_stored_is_said(tmp_path, monkeypatch):
    def refuse():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: None)
    monkeypatch.setattr(jax.profiler, "stop_trace", refuse)
    profile = profiling.Profile(tmp_path / "profile", (1, 2))
    profile.before(1)
    with pytest.raises(UserError, match="^workdir: .*profile.*No space left"):
        profile.after(2)
    profile.close()
