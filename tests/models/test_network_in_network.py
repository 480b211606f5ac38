"""Network in Network against its tables, on stock layers."""

import jax
import numpy as np
import pytest
from expected_models import EXPECTED
from stock_layers import conv, fast_compile, max_pool, random_variables

from cnnlab.models import create_model

# Of each mlpconv layer: window, stride, padding, and the maps of its convolutions.
TABLES = {
    "nin_cifar10": (
        (5, 1, 2, (192, 160, 96)),
        (5, 1, 2, (192, 192, 192)),
        (3, 1, 1, (192, 192, 10)),
    ),
    "nin_imagenet": (
        (11, 4, 0, (96, 96, 96)),
        (5, 1, 2, (256, 256, 256)),
        (3, 1, 1, (384, 384, 384)),
        (3, 1, 1, (1024, 1024, 1000)),
    ),
}
NETS = pytest.mark.parametrize("name", TABLES)


@NETS
def test_the_number_of_parameters_is_that_of_the_table(name):
    count, channels = 0, 3
    for window, _, _, maps in TABLES[name]:
        for size, features in zip((window, 1, 1), maps, strict=True):
            count += (size**2 * channels + 1) * features
            channels = features
    assert count == EXPECTED[name].parameters


@pytest.mark.parametrize(
    "name", ["nin_cifar10", pytest.param("nin_imagenet", marks=pytest.mark.slow)]
)
def test_scores_are_those_of_stock_layers(name):
    side = EXPECTED[name].tiny_side
    x = jax.random.normal(jax.random.key(1), (2, side, side, 3))
    model = create_model(name)
    variables = random_variables(model, x)
    params = iter(variables["params"][f"Conv_{i}"] for i in range(12))

    y = x
    for place, (_, strides, padding, _) in enumerate(TABLES[name]):
        if place:
            # An odd side is covered without padding, an even one with an entry of it.
            y = max_pool(y, 3, 2, 0, 2 if y.shape[1] == 1 else 1 - y.shape[1] % 2)
        y = conv(y, next(params), strides, padding)
        y = conv(conv(y, next(params), 1, 0), next(params), 1, 0)
    scores = fast_compile(model.apply)(variables, x)
    assert len(set(np.asarray(scores[0]))) > 1
    np.testing.assert_allclose(scores, y.mean((1, 2)), rtol=1e-4, atol=1e-5)
