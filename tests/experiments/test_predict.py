"""Predict: guesses for real image files."""

import dataclasses
import sys

import numpy as np
import pytest
from PIL import Image

from cnnlab import data
from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.models.pretrained import encode_weights
from experiments import predict
from experiments.harness import flags
from experiments.predict import Config, Net, main, run


@pytest.fixture(scope="module")
def glyphs():
    return data.load("glyphs", image_size=16, train_examples=64)


@pytest.fixture
def files(glyphs, tmp_path):
    """The first five test images, as PNG files."""
    paths = [tmp_path / f"glyph{i}.png" for i in range(5)]
    for path, image in zip(paths, glyphs.test.images, strict=False):
        Image.fromarray(image[..., 0]).save(path)
    return tuple(map(str, paths))


def probabilities(logits):
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def stored(workdir):
    with np.load(workdir / "predictions/max_pool/seed0.npz") as predictions:
        return probabilities(predictions["logits"].astype(np.float64))


@pytest.mark.parametrize("batch_size", [pytest.param(2, marks=pytest.mark.slow), 32])
def test_guesses_are_those_of_the_runs_own_evaluation(
    finished_run, files, glyphs, batch_size
):
    workdir, _ = finished_run
    words = f"{workdir}:max_pool:0"
    guesses = run(Config(images=files, checkpoint=words, top=10, batch_size=batch_size))
    assert len(guesses) == 5
    for found, wanted in zip(guesses, stored(workdir), strict=False):
        shares = [guess.probability for guess in found]
        assert shares == sorted(shares, reverse=True)
        by_name = {guess.label: guess.probability for guess in found}
        assert set(by_name) == set(glyphs.class_names)
        for name, share in zip(glyphs.class_names, wanted, strict=True):
            assert by_name[name] == pytest.approx(share, abs=1e-5)


def test_an_exported_file_gives_what_its_checkpoint_gives(
    finished_run, files, tmp_path
):
    from experiments import export

    words = f"{finished_run[0]}:lp_pool(p=3.0):1"
    path = tmp_path / "net.safetensors"
    export.run(export.Config(checkpoint=words, output=str(path)))
    assert run(Config(images=files, weights=str(path))) == run(
        Config(images=files, checkpoint=words)
    )
    for name, given, message in (
        ("model", "alexnet", "alexnet is not what the file says, lenet5"),
        ("num_classes", 3, "3 is not what the file says, 10"),
        ("normalization", "inception", "is for PyTorch's weights; '.*' says how its"),
    ):
        with pytest.raises(UserError, match=f"^{name}: {message}"):
            run(Config(images=files, weights=str(path), **{name: given}))


def test_no_more_guesses_than_classes_and_five_by_default(finished_run, files):
    words = str(finished_run[0])
    assert {len(found) for found in run(Config(images=files, checkpoint=words))} == {5}
    many = Config(images=files, checkpoint=words, top=99)
    assert {len(found) for found in run(many)} == {10}


@dataclasses.dataclass(frozen=True)
class Brightest:
    """Stands for a network: a score for each channel, its mean."""

    num_classes: int = 3

    def apply(self, variables, x, train):
        return x.mean((1, 2))


def shown(files, **changes):
    """The network's scores of the images, by the channel's number."""
    plain = (0.0,) * 3, (1.0,) * 3, 1.0
    net = Net("name", Brightest(), {}, (8, 8, 3), None, *plain, "brightest")
    guesses = predict._predict(Config(images=files), net._replace(**changes))
    return [{guess.label: guess.probability for guess in found} for found in guesses]


def test_images_are_scaled_as_the_net_wants_them(tmp_path):
    path = tmp_path / "plain.png"
    Image.new("RGB", (20, 30), (10, 20, 30)).save(path)
    mean, deviation = (8.0, 16.0, 32.0), (2.0, 4.0, 8.0)
    (found,) = shown((str(path),), mean=mean, deviation=deviation)
    wanted = probabilities(np.array([(10 - 8) / 2, (20 - 16) / 4, (30 - 32) / 8]))
    for channel, share in enumerate(wanted):
        assert found[f"class {channel}"] == pytest.approx(share, abs=1e-6)


def test_scores_that_are_no_numbers_are_refused(tmp_path):
    paths = [str(tmp_path / name) for name in ("dark.png", "bright.png")]
    for path, grey in zip(paths, (0, 200), strict=True):
        Image.new("RGB", (8, 8), (grey,) * 3).save(path)

    class Diverged(Brightest):
        def apply(self, variables, x, train):
            return np.inf * super().apply(variables, x, train)

    with pytest.raises(UserError, match="^weights: its net gives '.*dark.png' scores "):
        shown((paths[0],), model=Diverged())
    # The largest of all is no number either, if it has no end.
    with pytest.raises(UserError, match="^weights: its net gives '.*bright.png' sco"):
        shown((paths[1],), model=Diverged())


def weights_of(name, tmp_path, **options):
    """A file with weights of 0, but for the last biases, which rise with the class."""
    import jax
    import jax.numpy as jnp
    from flax import traverse_util

    model = create_model(name, **options)
    x = jax.ShapeDtypeStruct((1, *model.image_shape), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)
    flat = {
        path: np.zeros(leaf.shape, np.float32)
        for path, leaf in traverse_util.flatten_dict(shapes, sep="/").items()
    }
    flat["params/Dense_0/bias"] = np.arange(model.num_classes, dtype=np.float32)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(encode_weights(traverse_util.unflatten_dict(flat, sep="/")))
    return str(path)


def test_classes_have_the_names_of_a_file_or_their_numbers(
    tmp_path, capsys, monkeypatch
):
    # The width of what is printed is not that of the folder's name.
    monkeypatch.chdir(tmp_path)
    image = "image.jpg"
    Image.new("RGB", (50, 40), "red").save(image)
    weights = weights_of("cifar_resnet18", tmp_path, num_classes=3)
    config = Config(
        images=(image,), weights=weights, model="cifar_resnet18", num_classes=3
    )
    main(config)
    shares = probabilities(np.arange(3.0))
    assert capsys.readouterr().out.splitlines() == [
        "cifar_resnet18, on 32x32x3 images",
        "",
        image,
        *(f"  {shares[label]:8.2%}  class {label}" for label in (2, 1, 0)),
    ]
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\n" + "long name, " * 10 + "\n")
    config = dataclasses.replace(config, labels=str(labels))
    main(config)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) < 80
    assert [line.split()[-1] for line in lines[-2:]] == ["dog", "cat"]
    labels.write_text("cat\ndog\n")
    with pytest.raises(UserError, match="^labels: .*2 lines, and the net has 3 cl"):
        run(config)


def test_pytorchs_weights_are_shown_images_as_they_had_them():
    means = {}
    for name in ("resnet18", "googlenet_bn", "resnet18_v2"):
        kind = getattr(create_model(name), "torch_normalization", "imagenet")
        means[name], _ = predict.NORMALIZATIONS[kind]
    assert means["resnet18"] == tuple(
        pytest.approx(255 * mean) for mean in (0.485, 0.456, 0.406)
    )
    assert means["googlenet_bn"] == means["resnet18_v2"] == (127.5, 127.5, 127.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": ()}, "images: is empty"),
        ({"checkpoint": None}, "weights: give either"),
        ({"weights": "a.safetensors"}, "weights: give either"),
        ({"model": "lenet5"}, "model: is for --weights"),
        ({"num_classes": 3}, "num_classes: is for --weights"),
        ({"normalization": "imagenet"}, "normalization: is for --weights"),
        ({"top": 0}, "top: 0 is less than 1"),
        ({"batch_size": 0}, "batch_size: 0 is less than 1"),
        ({"normalization": "loud"}, "normalization: 'loud' is not one of auto"),
        ({"labels": "/none"}, "labels: '/none': No such file"),
        (
            {"checkpoint": None, "weights": "/none.safetensors"},
            "weights: '/none.safetensors' cannot be read: No such file",
        ),
    ],
)
def test_flags_that_do_not_fit_are_refused(finished_run, files, change, message):
    config = Config(images=files, checkpoint=str(finished_run[0]))
    with pytest.raises(UserError, match=f"^{message}") as error:
        run(dataclasses.replace(config, **change))
    assert "\n" not in str(error.value)


def test_pytorchs_weights_need_a_model_that_is_known(tmp_path, files):
    weights = weights_of("cifar_resnet18", tmp_path)
    config = Config(images=files, weights=weights)
    with pytest.raises(UserError, match="^model: is needed"):
        run(config)
    with pytest.raises(UserError, match="^model: unknown model 'resnet19'"):
        run(dataclasses.replace(config, model="resnet19"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"num_classes": 100},
            r"weights: .* of shape \[10\], and the model needs \[100\]; does num_cl",
        ),
        (
            {"model": "cifar_resnet18(num_classes=100)"},
            "model: .*=100. sets num_classes; use --num_classes=100",
        ),
        (
            {"model": "resnet18"},
            r"weights: .* of shape \[3, 3, 3, 64\], and .* needs \[7, 7, 3, 64\]",
        ),
    ],
)
def test_weights_of_another_net_are_refused(tmp_path, files, change, message):
    weights = weights_of("cifar_resnet18", tmp_path, num_classes=10)
    config = Config(images=files, weights=weights, model="cifar_resnet18")
    with pytest.raises(UserError, match=f"^{message}") as error:
        run(dataclasses.replace(config, **change))
    assert "\n" not in str(error.value)


def test_one_image_that_cannot_be_read_stops_all(finished_run, files, monkeypatch):
    from cnnlab.training import evaluation

    monkeypatch.setattr(evaluation, "_predict", None)
    config = Config(images=(*files, "/none.png"), checkpoint=str(finished_run[0]))
    with pytest.raises(UserError, match="^images: '/none.png' cannot be read"):
        run(config)


def test_words_that_are_no_flags_are_images(finished_run):
    words = ["a, b.png", f"--checkpoint={finished_run[0]}", "--images=c.png", "d.png"]
    config = flags.parse(Config, words, usage="")
    assert config.images == ("c.png", "a, b.png", "d.png")


def test_the_command_line_refuses_in_one_line(finished_run, tmp_path, capsys):
    path = tmp_path / "broken.png"
    path.write_bytes(b"not an image")
    command = ["predict", f"--checkpoint={finished_run[0]}", str(path)]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", command)
        flags.main(Config, main, usage=predict.__doc__)
    assert ended.value.code == 2
    written = capsys.readouterr()
    assert written.err == (
        f"--images: '{path}' is not an image; choose from PNG, JPEG, WEBP, BMP\n"
    )
    assert written.out == ""
