"""What is asked of every net whose images move, against what is found by hand."""

import dataclasses
import itertools
import json
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab import training
from cnnlab.training.resident import Scaling
from experiments.invariance import causes, moving


@pytest.fixture(scope="module")
def dataset():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (12, 8, 8, 1)).astype(np.uint8)
    labels = generator.integers(0, 3, 12).astype(np.int32)
    return SimpleNamespace(test=SimpleNamespace(images=images, labels=labels))


WEIGHTS = np.random.default_rng(1).normal(size=(64, 3))


def predict(images):
    return images.reshape(len(images), -1) @ WEIGHTS


def moved(image, motion, dy, dx):
    if motion == "circular":
        return np.roll(image, (dy, dx), (0, 1))
    out = np.zeros_like(image)
    for y, x in itertools.product(range(8), range(8)):
        if 0 <= y - dy < 8 and 0 <= x - dx < 8:
            out[y, x] = image[y - dy, x - dx]
    return out


def class_of(image):
    return predict(image[None].astype(float)).argmax()


@pytest.mark.parametrize("motion", ["circular", "zero"])
def test_curves_and_radii_are_those_found_one_image_at_a_time(dataset, motion):
    images, labels = dataset.test.images[:9], dataset.test.labels[:9]
    found = moving.curves(3, 9).of_net(predict, dataset)
    found |= moving.grids(2, 9).of_net(predict, dataset)
    home = [class_of(image) for image in images]
    for place, dx in enumerate(range(-3, 4)):
        seen = [class_of(moved(image, motion, 0, dx)) for image in images]
        accuracy = np.mean(np.equal(seen, labels))
        assert found[f"{motion}_accuracy_along"][place] == pytest.approx(accuracy)
        kept = np.mean(np.equal(seen, home))
        assert found[f"{motion}_agreement_along"][place] == pytest.approx(kept)
    radii = []
    for image, own in zip(images, home, strict=True):
        flips = [
            max(abs(dy), abs(dx))
            for dy, dx in itertools.product(range(-2, 3), repeat=2)
            if class_of(moved(image, motion, dy, dx)) != own
        ]
        radii.append(min(flips, default=3))
    assert found[f"{motion}_flip_radius"] == pytest.approx(np.mean(radii))


class Strided(nn.Module):
    """A convolution of stride 2 over zeros, and a dense layer."""

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.relu(nn.Conv(2, (3, 3), strides=2)(x))
        return nn.Dense(3)(x.reshape(len(x), -1))


@pytest.fixture(scope="module")
def strided(dataset):
    model, scaling = Strided(), Scaling(jnp.full(1, 128.0), jnp.full(1, 70.0))
    variables = model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    return training.predictor(model, variables, scaling, batch_size=128)


def test_a_budget_is_of_all_that_changes_under_the_rolls(dataset, strided):
    found = causes.budget(2).of_net(strided, dataset)
    assert "stride=(2, 2)" in found["budget_spec"] or "stride=2" in found["budget_spec"]
    shares = [found[f"budget_{cause}"] for cause in causes.CAUSES]
    assert sum(shares) == pytest.approx(1) and all(shares)
    images, rolls = dataset.test.images[:2], range(8)
    looks = [np.roll(images, move, (1, 2)) for move in itertools.product(rolls, rolls)]
    said = np.stack([jax.nn.softmax(strided(look)) for look in looks])
    at_home = np.square(jax.nn.softmax(strided(images))).sum(-1)
    change = said.var(0).sum(-1).mean() / at_home.mean()
    assert found["budget_change"] == pytest.approx(change, rel=1e-3)


def test_a_budget_goes_over_the_whole_lattice_where_there_is_one():
    assert causes.multiples_of((28, 32), (4, 4)) is None
    assert causes.multiples_of((30, 32), (4, 4)) == (-1, 0, 1)
    # One point is no mean.
    for size, span in (((32, 32), 95), ((20, 40), 23)):
        stride = (span + 1) // 3
        with pytest.raises(ValueError, match=f"stride of {stride}, which .* {span} "):
            causes.multiples_of(size, (stride, stride))


def test_a_net_that_does_not_change_has_no_shares(dataset, strided):
    still = jax.tree.map(jnp.zeros_like, strided.variables)
    still = dataclasses.replace(strided, variables=still)
    measure = causes.budget(2)
    seeds = [measure.of_net(still, dataset)] * 2
    row = measure.of_arm(seeds)["budget"]
    assert row["change"]["mean"] == 0
    assert row["shares"] == dict.fromkeys(causes.CAUSES)


def test_tomography_has_the_layers_and_the_output(dataset, strided):
    measure = causes.tomography(("translation", "scale"), 3)
    seed = measure.of_net(strided, dataset)
    row = measure.of_arm([seed, seed])["tomography"]
    for layers in row["layers"].values():
        assert [each["layer"] for each in layers] == ["Conv_0", "Dense_0"]
        assert [each["kind"] for each in layers] == ["map", "invariant"]
        for each in layers:
            assert each["error"]["mean"] == each["error"]["low"] > 0
    assert json.loads(json.dumps(row)) == row
