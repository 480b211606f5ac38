"""How far sliding scores are from their crops, as the command tells it."""

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import save_file

from cnnlab.errors import UserError
from cnnlab.models import create_model
from experiments.sliding_head import Config, Geometry, geometry, main, run

# Few hidden features, so that the convolutions alone take time.
SMALL = Config(model="alexnet(head_features=8)", num_classes=5)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("alexnet", Geometry(size=224, field=355, stride=32, margin=3)),
        ("vgg16", Geometry(size=224, field=404, stride=32, margin=3)),
    ],
)
def test_geometry_is_that_of_the_scores(name, wanted):
    """AlexNet: 195 + 5 * 32; VGG-16: 212 + 6 * 32, from 90 pixels before the crop."""
    found = geometry(create_model(name, head="conv"))
    assert found == wanted
    assert found.widest == 416


def test_another_window_slides_from_crops_of_another_size():
    """Of a map's 6x6 entries, 32 pixels apart, it leaves one."""
    found = geometry(create_model("alexnet", head="conv", head_window=1))
    assert found == Geometry(size=224 - 5 * 32, field=195, stride=32, margin=3)


@pytest.mark.slow
def test_no_score_is_its_crops_until_the_crop_holds_all_that_it_sees(capsys):
    found = run(SMALL)
    assert found["input"] == [1, 448, 448, 3]
    rows = found["differences"]
    assert [row["crop"] for row in rows] == [224, 288, 352, 416]
    assert [row["places"] for row in rows] == [[8, 8], [6, 6], [4, 4], [2, 2]]
    assert [row["equal"] for row in rows] == [0, 0, 0, 1]
    largest = [row["relative"] for row in rows]
    assert largest == sorted(largest, reverse=True) and largest[0] > 0.01

    small = dataclasses.replace(SMALL, input="256x224")
    main(small)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{SMALL.model} on 256x224 pixels: 2x1 places, 32 apart"
    assert lines[1] == "a crop has 224 pixels a side, a score sees 355"
    assert [line.split()[:2] for line in lines if "2x1" in line][1:] == [["224", "2x1"]]
    assert lines[-1].endswith(" that its middle score sees: see --input=448.")
    assert max(map(len, lines)) < 80
    (first,), (again,), (other,) = (
        run(dataclasses.replace(small, seed=seed))["differences"] for seed in (0, 0, 1)
    )
    assert first == again and first["most"] != other["most"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "resnet18"}, "model: 'resnet18' has no dense head; choose from al"),
        ({"model": "alexnt"}, "model: unknown model 'alexnt'"),
        ({"input": "big"}, "input: 'big' is no size"),
        (
            {"input": "224"},
            "input: '224' holds no more than one crop of 224; give at le",
        ),
        ({"input": "256x200"}, "input: '256x200' holds no more than one crop of 224"),
        ({"input": "256x256x1"}, "input: '256x256x1' has 1 channels, and the net.* 3$"),
        (
            {"model": "alexnet(head_window=30)"},
            "model: 'alexnet.*' cannot slide with these flags: the head's window .30, ",
        ),
        (
            {"model": "alexnet(pool='spectral_pool')", "boundary": "circular"},
            "model: 'alexnet.*' cannot slide with these flags: its scores see the who",
        ),
        ({"images": 0}, "images: 0 is less than 1"),
        ({"seed": -1}, "seed: -1 is less than 0"),
        ({"seed": 2**32}, "seed: 4294967296 is more than 4,294,967,295"),
        ({"boundary": "torus"}, "boundary: 'torus' is not one of zero"),
        ({"weights": "/none"}, "weights: '/none' cannot be read: No such file"),
    ],
)
def test_what_cannot_be_shown_is_refused(change, message):
    config = {"model": SMALL.model, "num_classes": 5, "input": "256", **change}
    with pytest.raises(UserError, match=f"^{message}") as error:
        run(Config(**config))
    assert "\n" not in str(error.value)


def test_weights_are_those_of_the_file(tmp_path):
    """One that does not fit is refused by its first tensor, before anything runs."""
    path = tmp_path / "weights.safetensors"
    save_file({"features.0.weight": np.zeros((64, 3, 11, 11), np.float32)}, path)
    with pytest.raises(UserError, match="^weights: .* has no 'features.0.bias'"):
        run(Config(weights=str(path)))
