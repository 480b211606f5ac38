"""Recipes: their papers' rates, steps by them on images of their sets, bad values."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rates import assert_rates

from cnnlab.data import Split
from cnnlab.data.augmentation import resolve_augmentation
from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.training import (
    Method,
    Recipe,
    Totals,
    init,
    optimizer_of,
    recipes,
    resident,
    scaling_of,
)
from cnnlab.training.engines import Engine, Task
from cnnlab.training.optimizer import learning_rate

# The sets that the papers train on: training images, and the shape of one.
SETS = {
    "quick": (54_000, (28, 28, 1)),
    "zeiler_fergus": (60_000, (28, 28, 1)),
    "all_cnn": (50_000, (32, 32, 3)),
    "red_green": (2_000, (32, 32, 3)),
    "cifar_resnet": (50_000, (32, 32, 3)),
    "imagenet_resnet": (1_281_167, (224, 224, 3)),
}

# Steps of an epoch, of the whole, and rates by step: before each boundary, and at it.
PUBLISHED = {
    # Ours: up in 505 steps of 2,526, down in 2,021.
    "quick": (
        421,
        2_526,
        {0: 0, 1: 0.3 / 505, 504: 0.3 * 504 / 505, 505: 0.3, 2_526: 0},
    ),
    # 60,000 // 128 steps in each of 280 epochs, halfway 0.00505.
    "zeiler_fergus": (468, 131_040, {0: 1e-2, 65_520: 5.05e-3, 131_040: 1e-4}),
    # Epochs of 390 steps: 200, 250 and 300 of 350.
    "all_cnn": (
        390,
        136_500,
        {
            0: 0.05,
            77_999: 0.05,
            78_000: 0.005,
            97_499: 0.005,
            97_500: 0.0005,
            116_999: 0.0005,
            117_000: 0.00005,
            136_499: 0.00005,
        },
    ),
    # The rate of Adadelta is 1 throughout.
    "red_green": (10, 500, {0: 1.0, 1: 1.0, 499: 1.0}),
    "cifar_resnet": (
        390,
        64_000,
        {
            0: 0.1,
            31_999: 0.1,
            32_000: 0.01,
            47_999: 0.01,
            48_000: 0.001,
            63_999: 0.001,
        },
    ),
    # Epochs of 5,004 steps: 30, 60 and 80 of 90.
    "imagenet_resnet": (
        5_004,
        450_360,
        {
            0: 0.1,
            150_119: 0.1,
            150_120: 0.01,
            300_239: 0.01,
            300_240: 0.001,
            400_319: 0.001,
            400_320: 0.0001,
            450_359: 0.0001,
        },
    ),
}


@pytest.mark.parametrize("name", recipes)
def test_rates_are_the_papers_at_every_boundary(name):
    recipe = recipes[name]()
    images, _ = SETS[name]
    steps_per_epoch, total_steps, rates = PUBLISHED[name]
    assert images // recipe.batch_size == steps_per_epoch
    assert recipe.total_steps(steps_per_epoch) == total_steps
    # What is clipped to 1 stays 1.
    assert_rates(dataclasses.replace(recipe, momentum=0.0), total_steps, rates)


def test_what_else_the_papers_say():
    resnet = recipes["cifar_resnet"]()
    assert (resnet.batch_size, resnet.momentum, resnet.weight_decay) == (128, 0.9, 1e-4)
    assert resnet.augment == ("pad_and_crop(padding=4)", "random_flip")
    imagenet = recipes["imagenet_resnet"]()
    assert (imagenet.batch_size, imagenet.momentum) == (256, 0.9)
    assert (imagenet.epochs, imagenet.weight_decay) == (90, 1e-4)
    for name in ("all_cnn", "zeiler_fergus"):
        recipe = recipes[name]()
        assert (recipe.momentum, recipe.weight_decay) == (0.9, 1e-3)
        assert not recipe.augment


class Averages(nn.Module):
    """A dense layer on the mean of each channel in each quarter of the image."""

    @nn.compact
    def __call__(self, x, *, train=False):
        side = x.shape[1] // 2
        quarters = nn.avg_pool(x, (side, side), (side, side))
        return nn.Dense(10)(quarters.reshape(len(x), -1))


def steps_by(recipe, model, shape, total_steps):
    """The states at the beginning and after each of three steps, and the sums."""
    size = recipe.batch_size
    rng = np.random.default_rng(0)
    split = Split(
        rng.integers(0, 256, (3 * size, *shape), np.uint8),
        rng.integers(0, 10, 3 * size, np.int32),
    )
    scaling = scaling_of(split)
    augment = None
    if recipe.augment:
        fill = tuple((np.asarray(scaling.mean) / 255).tolist())
        augment = resolve_augmentation(recipe.augment, shape, fill=fill)
    fields = {field.name for field in dataclasses.fields(Method)}
    method = Method(**{name: getattr(recipe, name) for name in fields})
    optimizer = optimizer_of(recipe, total_steps)
    engine = Engine("loop", Task(model, optimizer, method, augment), False)
    states = engine.pack([init(model, optimizer, 0, shape)])
    totals = engine.pack([Totals.none()])
    orders = engine.pack([jnp.arange(3 * size, dtype=jnp.int32).reshape(3, size)])
    data = engine.place(resident(split, scaling), 1)
    program = engine.compile(states, totals, data, orders)
    made = engine.unpack(states)
    for step in range(3):
        states, totals = program(states, totals, data, orders, step, 1)
        made += engine.unpack(states)
    return made, engine.unpack(totals)[0]


def assert_went_well(made, total):
    assert [int(state.step) for state in made] == [0, 1, 2, 3]
    assert total.examples > 0
    assert total.diverged_at == 0
    assert np.isfinite(total.loss)


@pytest.mark.parametrize("name", recipes)
def test_three_steps_on_images_of_the_sets_shape(name):
    recipe = dataclasses.replace(recipes[name](), batch_size=4)
    made, total = steps_by(recipe, Averages(), SETS[name][1], recipe.total_steps(3))
    assert_went_well(made, total)
    first, *_, last = (state.params["Dense_0"]["kernel"] for state in made)
    assert 0 < np.abs(last - first).max() < 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, net, shape",
    [
        ("zeiler_fergus", "zeiler_fergus", (28, 28, 1)),
        ("all_cnn", "all_cnn_c", (32, 32, 3)),
        ("cifar_resnet", "resnet20", (32, 32, 3)),
        ("imagenet_resnet", "resnet18", (64, 64, 3)),
    ],
)
def test_three_steps_of_the_papers_net_have_the_rate_that_is_recorded(name, net, shape):
    recipe = dataclasses.replace(recipes[name](), batch_size=4)
    _, total_steps, rates = PUBLISHED[name]
    made, total = steps_by(recipe, create_model(net, 10), shape, total_steps)
    assert_went_well(made, total)
    for step in range(3):
        before, after = (ravel(state.params) for state in made[step : step + 2])
        # What heavy-ball momentum has summed up is taken off, times the rate.
        way = ravel(optax.tree.get(made[step + 1].opt_state, "trace"))
        rate = np.dot(before - after, way) / np.dot(way, way)
        recorded = learning_rate(recipe, total_steps, step)
        assert recorded == pytest.approx(rates[0], rel=1e-4)
        assert rate == pytest.approx(recorded, rel=1e-4)


def ravel(tree):
    leaves = [np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)]
    return np.concatenate(leaves)


# By field: what is out of its range.
REFUSED = {
    "epochs": (-1, 1.5, None),
    "steps": (-1, 2.5),
    "batch_size": (0, -128, 12.5),
    "optimizer": ("sgd", None),
    "learning_rate": (0.0, -0.1, np.inf, np.nan, "0.1"),
    "schedule": ("step", "cosine(warmup=2)", "linear(end=0)", "piecewise", "co("),
    "momentum": (-0.1, 1.0, np.nan),
    "weight_decay": (-1e-4, np.inf, np.nan),
    "clip": (-1.0, np.inf, np.nan),
    "label_smoothing": (-0.1, 1.0, np.nan),
    "mixup": (-0.1, 1e4, np.nan),
    "loss": ("hinge",),
    "ema_decay": (-0.1, 1.0, np.nan),
    "accumulate": (0, 3, 1.0),
    "augment": ("random_flip", ("turn",), ("random_flip(side=1)",)),
    "validation_fraction": (-0.1, 1.0, np.nan),
    "patience": (-1, 1, 0.5),
}


def test_every_field_has_values_that_it_refuses():
    assert set(REFUSED) == {field.name for field in dataclasses.fields(Recipe)}


@pytest.mark.parametrize(
    "field,value",
    [(name, value) for name, values in REFUSED.items() for value in values],
)
def test_a_value_out_of_its_range_is_refused_by_its_name(field, value):
    with pytest.raises(UserError) as error:
        Recipe(**{"steps": 10, field: value})
    message = error.value.message
    assert error.value.argument == field
    assert "\n" not in message
    shown = value[0] if isinstance(value, tuple) else value
    assert str(shown) in message or repr(shown) in message


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("schedule", "step", "unknown schedule 'step'; choose from "),
        ("schedule", "cosine(warmup=2)", "cosine(warmup=2): warmup 2 is not in 0 to 1"),
        ("augment", ("random_flip", "blur"), "unknown augmentation 'blur'; choose "),
        ("augment", ("cutout(side=-1)",), "cutout(side=-1): "),
    ],
)
def test_a_spec_is_named_once_and_alone(field, value, message):
    with pytest.raises(UserError) as error:
        Recipe(**{"steps": 10, field: value})
    assert error.value.message.startswith(message)


@pytest.mark.parametrize("lengths", [{}, {"epochs": 2, "steps": 10}])
def test_a_run_is_so_many_epochs_or_so_many_steps(lengths):
    with pytest.raises(UserError, match="^epochs: . and steps .*: one of them"):
        Recipe(**lengths)


def test_the_ends_of_ranges_are_taken():
    Recipe(epochs=1, momentum=0.0, label_smoothing=0.0, clip=0.0, batch_size=1)
    Recipe(steps=1, batch_size=6, accumulate=6, validation_fraction=0.1, patience=1)


def test_lengths_are_in_steps_of_either_kind():
    assert Recipe(epochs=3).total_steps(7) == 21
    assert Recipe(steps=5).total_steps(7) == 5
    assert set(recipes) == set(SETS) == set(PUBLISHED)
