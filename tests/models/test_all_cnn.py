"""The twelve nets against the tables of the paper, on stock layers."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from expected_models import EXPECTED
from stock_layers import conv, fast_compile, max_pool, random_variables

from cnnlab.models import create_model

# Windows and strides up to the part that all nets share.
TABLES = {
    "base_a": "5 pool | 5 pool",
    "base_b": "5 1 pool | 5 1 pool",
    "base_c": "3 3 pool | 3 3 pool",
    "strided_a": "5/2 | 5/2",
    "strided_b": "5 1/2 | 5 1/2",
    "strided_c": "3 3/2 | 3 3/2",
    "conv_pool_a": "5 3 pool | 5 3 pool",
    "conv_pool_b": "5 1 3 pool | 5 1 3 pool",
    "conv_pool_c": "3 3 3 pool | 3 3 3 pool",
    "all_cnn_a": "5 3/2 | 5 3/2",
    "all_cnn_b": "5 1 3/2 | 5 1 3/2",
    "all_cnn_c": "3 3 3/2 | 3 3 3/2",
}
NETS = pytest.mark.parametrize("name", TABLES)


def layers(name):
    """(window, stride, padding, maps) of each; a pool has no maps."""
    for text, maps in zip(TABLES[name].split("|"), (96, 192), strict=True):
        for layer in text.split():
            if layer == "pool":
                yield 3, 2, 1, None
            else:
                window, _, stride = layer.partition("/")
                yield int(window), int(stride or 1), int(window) // 2, maps
    yield from ((3, 1, 0, 192), (1, 1, 0, 192), (1, 1, 0, 10))


@NETS
def test_the_number_of_parameters_is_that_of_the_table(name):
    count, channels = 0, 3
    for window, _, _, maps in layers(name):
        if maps is not None:
            count += (window**2 * channels + 1) * maps
            channels = maps
    assert count == EXPECTED[name].parameters


@pytest.mark.parametrize(
    "name",
    [
        name if name.endswith("b") else pytest.param(name, marks=pytest.mark.slow)
        for name in TABLES
    ],
)
def test_scores_are_those_of_stock_layers(name):
    x = jax.random.normal(jax.random.key(1), (2, 16, 13, 3))
    model = create_model(name)
    variables = random_variables(model, x)
    params = iter(variables["params"][f"Conv_{i}"] for i in range(9))
    y = x
    for window, strides, padding, maps in layers(name):
        if maps is None:
            y = max_pool(y, window, strides, padding, padding)
        else:
            y = conv(y, next(params), strides, padding)
    scores = fast_compile(model.apply)(variables, x)
    assert len(set(np.asarray(scores[0]))) > 1
    np.testing.assert_allclose(scores, y.mean((1, 2)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("letter", "abc")
def test_a_pool_is_all_that_sets_two_nets_of_a_variant_apart(letter):
    for pooled, strided in (("base", "strided"), ("conv_pool", "all_cnn")):
        names = f"{pooled}_{letter}", f"{strided}_{letter}"
        for pool in (None, "max_pool"):
            nets = [create_model(name, pool=pool) for name in names]
            assert nets[0] == nets[1]
        assert create_model(names[0]) != create_model(names[1])


def test_all_cnn_c_takes_the_multiplications_of_an_unpadded_convolution():
    model = create_model("all_cnn_c")
    images = jnp.zeros((1, *model.image_shape))

    def run():
        return model.init_with_output(
            jax.random.key(0), images, capture_intermediates=True, mutable=True
        )[1]

    variables = jax.eval_shape(run)
    count = sum(
        math.prod(layer["kernel"].shape)
        * math.prod(variables["intermediates"][name]["__call__"][0].shape[1:3])
        for name, layer in variables["params"].items()
    )
    assert round(count / 1e6, 2) == 270.80


@NETS
def test_a_fifth_of_the_image_is_dropped_and_half_after_each_stage(name):
    assert dropped(name) == [(0.2, 32), (0.5, 16), (0.5, 8)]
    assert dropped(name, dropout=0.5) == [(0.1, 32), (0.25, 16), (0.25, 8)]
    assert dropped(name, dropout=0) == [(0, 32), (0, 16), (0, 8)]


def dropped(name, **options):
    """The rate of each dropout, and the side of its map."""
    model, rates = create_model(name, **options), []

    def listen(call, args, kwargs, context):
        if isinstance(context.module, nn.Dropout):
            rates.append((context.module.rate, args[0].shape[1]))
        return call(*args, **kwargs)

    with nn.intercept_methods(listen):
        images = jnp.zeros((1, *model.image_shape))
        jax.eval_shape(lambda: model.init(jax.random.key(0), images))
    return rates


@NETS
def test_narrow_nets_have_a_share_of_every_map_but_the_last(name):
    def maps(width):
        model = create_model(name, 7, width=width)
        images = jnp.zeros((1, *model.image_shape))
        shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images))
        return [layer["bias"].shape[0] for layer in shapes["params"].values()]

    wide = maps(1.0)
    assert set(wide) == {96, 192, 7}
    for width, share in ((0.25, 24), (0.1, 10), (1 / 3, 32)):
        assert maps(width) == [n if n == 7 else share * n // 96 for n in wide]


@pytest.mark.parametrize("width", [0, 0.009, -0.5, 1.01, math.nan, math.inf, True, "1"])
def test_a_width_that_gives_no_maps_or_more_than_the_papers_is_refused(width):
    with pytest.raises(ValueError, match="^width takes a number from 0.01 to 1, "):
        create_model("base_a", width=width)


@pytest.mark.parametrize("dropout", [-0.1, 1.01, math.nan, True, "1"])
def test_a_dropout_that_is_no_share_of_the_papers_is_refused(dropout):
    with pytest.raises(ValueError, match="^dropout takes a number from 0 to 1, "):
        create_model("base_a", dropout=dropout)
