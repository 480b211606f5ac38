import flax.linen as nn
import jax
import numpy as np
import pytest

from cnnlab import data
from cnnlab.data.red_green import elsewhere
from cnnlab.models import create_model


@pytest.mark.parametrize("padding, side", [("VALID", 2), ("SAME", 4), ("FULL", 6)])
def test_padding_decides_the_size_of_the_last_map(padding, side):
    model = create_model("red_green", padding=padding)
    images = np.zeros((1, 32, 32, 3), np.float32)
    last = {}

    def keep(next_function, args, kwargs, context):
        y = next_function(*args, **kwargs)
        if context.module.name == "Conv_3":
            last["shape"] = y.shape
        return y

    with nn.intercept_methods(keep):
        jax.eval_shape(model.init, jax.random.key(0), images)
    assert last["shape"] == (1, side, side, 64)


def test_an_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="padding.*VALID.*SAME.*FULL"):
        create_model("red_green", padding="MIRROR")


@pytest.mark.parametrize(
    "options, equal",
    [
        ({"boundary": "circular"}, True),
        ({"padding": "FULL"}, True),
        ({"padding": "SAME"}, False),
        ({"padding": "VALID"}, False),
    ],
)
def test_half_an_image_further_down_is_nothing_new_on_a_torus_and_on_a_plane(
    options, equal
):
    model = create_model("red_green", **options)
    images = data.load("red_green", test_examples=32).test.images
    variables = model.init(jax.random.key(0), images[:1].astype(np.float32))
    here, there = (
        np.asarray(model.apply(variables, x.astype(np.float32) / 255))
        for x in (images, elsewhere(images))
    )
    assert np.allclose(here, there, rtol=1e-6, atol=1e-6) == equal
