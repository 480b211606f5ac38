"""GoogLeNet's counts and auxiliary heads; what it computes is held to PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from expected_models import EXPECTED
from stock_layers import conv, fast_compile, max_pool, random_variables

from cnnlab.layers import Conv, Pool
from cnnlab.models import create_model
from cnnlab.models.inception import Inception, Widths

# Table 1: input, #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
TABLE = """
192   64  96 128 16  32  32
256  128 128 192 32  96  64
480  192  96 208 16  48  64
512  160 112 224 24  64  64
512  128 128 256 24  64  64
512  112 144 288 32  64  64
528  256 160 320 32 128 128
832  256 160 320 32 128 128
832  384 192 384 48 128 128
"""
HEADS = {"auxiliary_4a": 512, "auxiliary_4d": 528}
NETS = pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])


@functools.cache
def beginning(name, **options):
    """The shapes of the variables for images of 224x224."""
    model = create_model(name, **options)
    images = jnp.zeros((1, *model.image_shape))
    return jax.eval_shape(lambda: model.init(jax.random.key(0), images))


def parameters(name, **options):
    params = beginning(name, **options)["params"]
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def by_the_table(five_size, beside):
    """The parameters of the network without other heads.

    `beside` is how many each map has besides its weights.
    """
    convs = [(7, 3, 64), (1, 64, 64), (3, 64, 192)]
    for row in TABLE.split("\n")[1:-1]:
        given, one, three_reduce, three, five_reduce, five, projection = map(
            int, row.split()
        )
        convs += [(1, given, one), (1, given, three_reduce), (3, three_reduce, three)]
        convs += [(1, given, five_reduce), (five_size, five_reduce, five)]
        convs += [(1, given, projection)]
    return sum((k * k * i + beside) * o for k, i, o in convs) + 1024 * 1000 + 1000


def of_heads(beside):
    hidden = (4 * 4 * 128 + 1) * 1024
    return sum((i + beside) * 128 + hidden + 1025 * 1000 for i in HEADS.values())


@pytest.mark.parametrize(
    "name, five_size, beside", [("googlenet", 5, 1), ("googlenet_bn", 3, 2)]
)
def test_the_number_of_parameters_is_that_of_the_table(name, five_size, beside):
    body = by_the_table(five_size, beside)
    assert parameters(name, auxiliary=False) == body
    assert parameters(name, auxiliary=True) == body + of_heads(beside)


def test_published_counts():
    assert parameters("googlenet_bn") == 6_624_904
    assert parameters("googlenet_bn", auxiliary=True) == 13_004_888
    assert EXPECTED["googlenet"].parameters == parameters("googlenet", auxiliary=True)


@NETS
def test_heads_have_parameters_from_the_beginning_and_nothing_else(name):
    without, variables = (beginning(name, auxiliary=b) for b in (False, True))
    assert set(variables) == set(without)
    assert set(variables["params"]) == set(without["params"]) | set(HEADS)


@NETS
def test_evaluation_does_not_run_the_heads(name):
    model = create_model(name, auxiliary=True)
    variables = beginning(name, auxiliary=False)
    images = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)

    def apply(variables, images):
        return model.apply(variables, images, mutable=["auxiliary"])

    # Their parameters would be missed.
    scores, sown = jax.eval_shape(apply, variables, images)
    assert scores.shape == (2, 1000)
    assert not sown


@NETS
def test_training_sows_the_scores_of_both_heads(name):
    model = create_model(name, num_classes=7, auxiliary=True)
    variables = beginning(name, num_classes=7, auxiliary=True)
    images = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)

    def apply(variables, images):
        rngs = {"dropout": jax.random.key(0)}
        mutable = ["batch_stats", "auxiliary"]
        return model.apply(variables, images, train=True, rngs=rngs, mutable=mutable)

    _, updated = jax.eval_shape(apply, variables, images)
    sown = jax.tree.leaves(updated["auxiliary"])
    assert [scores.shape for scores in sown] == [(2, 7)] * 2


@pytest.mark.slow
@NETS
def test_scores_are_the_same_with_and_without_heads(name):
    x = jax.random.normal(jax.random.key(1), (2, 80, 80, 3))
    model = create_model(name, auxiliary=True, num_classes=10)
    variables = random_variables(model, x)

    def scores(model):
        def apply(variables, x):
            rngs = {"dropout": jax.random.key(0)}
            mutable = ["batch_stats", "auxiliary"]
            return model.apply(variables, x, train=True, rngs=rngs, mutable=mutable)

        return fast_compile(apply)(variables, x)[0]

    np.testing.assert_allclose(
        scores(model), scores(model.clone(auxiliary=False)), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("five_size", [3, 5])
def test_a_module_is_its_four_branches_side_by_side(five_size):
    def convolve(x, features, size, *, name):
        layer = Conv(features, size, 1, size // 2, name=name)
        return jax.nn.relu(layer(x))

    def pool(x, *geometry):
        return Pool("max_pool", *geometry)(x)

    module = Inception(Widths(4, 3, 5, 2, 6, 7), five_size, convolve, pool)
    x = jax.random.normal(jax.random.key(0), (2, 6, 5, 3))
    variables = random_variables(module, x)
    params = variables["params"]
    three = conv(x, params["3x3_reduce"], 1, 0)
    five = conv(x, params["5x5_reduce"], 1, 0)
    wanted = [
        conv(x, params["1x1"], 1, 0),
        conv(three, params["3x3"], 1, 1),
        conv(five, params["5x5"], 1, five_size // 2),
        conv(max_pool(x, 3, 1, 1, 1), params["pool_proj"], 1, 0),
    ]
    assert [branch.shape[-1] for branch in wanted] == [4, 5, 6, 7]
    assert params["5x5"]["kernel"].shape[0] == five_size
    np.testing.assert_allclose(
        module.apply(variables, x), jnp.concatenate(wanted, -1), rtol=1e-5, atol=1e-5
    )
