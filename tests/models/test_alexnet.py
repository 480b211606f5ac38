"""AlexNet and its line, counted by formula and against what papers give."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.models import create_model

# Features, side of the kernel, channels that a feature sees.
TOWERS_2012 = (
    (96, 11, 3),
    (256, 5, 96 // 2),
    (384, 3, 256),
    (384, 3, 384 // 2),
    (256, 3, 384 // 2),
)
BIASES_OF_ONE = ("Conv_1", "Conv_3", "Conv_4", "Dense_0", "Dense_1")


def shapes(name):
    model = create_model(name)
    images = jnp.zeros((1, *model.image_shape))
    return jax.eval_shape(lambda: model.init(jax.random.key(0), images))["params"]


def test_the_two_towers_have_the_parameters_of_the_formula():
    convolutions = sum(n * (side**2 * seen + 1) for n, side, seen in TOWERS_2012)
    dense = sum(
        n * (seen + 1) for n, seen in ((4096, 9216), (4096, 4096), (1000, 4096))
    )
    leaves = jax.tree.leaves(shapes("alexnet_2012"))
    assert sum(math.prod(leaf.shape) for leaf in leaves) == convolutions + dense
    assert convolutions + dense == 60_965_224
    # As the arithmetic of the first layer is taught.
    assert (227 - 11) // 4 + 1 == 55 and 96 * (11 * 11 * 3 + 1) == 34_944


def test_the_towers_meet_in_the_third_convolution_alone():
    kernels = shapes("alexnet_2012")
    for layer, (features, side, seen) in enumerate(TOWERS_2012):
        kernel = kernels[f"Conv_{layer}"]["kernel"]
        assert kernel.shape == (side, side, seen, features)


@pytest.mark.parametrize(
    "name, macs", [("alexnet", 714_188_480), ("vgg16", 15_470_264_320)]
)
def test_every_weight_is_used_once_at_each_place(name, macs):
    model = create_model(name)
    images, params = jnp.zeros((1, *model.image_shape)), shapes(name)

    def layers(variables):
        _, seen = model.apply(
            variables, images, capture_intermediates=True, mutable=["intermediates"]
        )
        return seen["intermediates"]

    outputs = jax.eval_shape(layers, {"params": params})
    outputs, params = (tree | tree["DenseHead_0"] for tree in (outputs, params))
    total = 0
    for layer in params:
        if "kernel" in params[layer]:
            (output,) = outputs[layer]["__call__"]
            uses = math.prod(output.shape[1:-1])
            total += uses * math.prod(params[layer]["kernel"].shape)
    assert total == macs


def test_the_towers_begin_as_in_the_paper():
    model = create_model("alexnet_2012", 10, head_features=256)
    x = jax.ShapeDtypeStruct((1, 67, 67, 3), jnp.float32)
    params = model.lazy_init(jax.random.key(0), x)["params"]
    layers = {name: layer for name, layer in params.items() if name != "DenseHead_0"}
    for name, layer in (layers | params["DenseHead_0"]).items():
        assert (layer["bias"] == (name in BIASES_OF_ONE)).all(), name
        if layer["kernel"].size > 10_000:
            kernel = np.asarray(layer["kernel"], np.float64)
            np.testing.assert_allclose(kernel.std(), 0.01, rtol=0.03)


@pytest.mark.parametrize("name", ["alexnet_2012", "zfnet"])
def test_response_normalisation_is_where_the_paper_has_it(name):
    model = create_model(name)
    x = jnp.zeros((1, *model.image_shape))
    variables = {"params": shapes(name)}
    program = jax.make_jaxpr(model.apply)(variables, x)
    named = [str(equation.params.get("name")) for equation in program.eqns]
    kinds = [text.split("(")[0] for text in named]
    normalized = [i for i, kind in enumerate(kinds) if kind == "local_response_norm"]
    assert len(normalized) == 2
    order = [kind for kind in kinds if kind in ("local_response_norm", "max_pool")]
    first = ["local_response_norm", "max_pool"]
    pairs = first if name == "alexnet_2012" else first[::-1]
    assert order == [*pairs, *pairs, "max_pool"]
