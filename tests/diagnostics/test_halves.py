"""A network cut at its last map says what it says in one piece."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.diagnostics.error_budget import error_budget
from cnnlab.diagnostics.halves import halves
from cnnlab.models import create_model
from cnnlab.ops import conv, pools

# The last map, on images of 16 pixels.
MAPS = {"lenet5": (2, 2, 16), "resnet20": (4, 4, 64)}


@pytest.fixture(scope="module", params=["zero", "circular"])
def boundary(request):
    return request.param


def net(name, boundary):
    model = create_model(name, boundary=boundary)
    images = np.random.default_rng(0).normal(size=(3, 16, 16, 3)).astype(np.float32)
    variables = jax.jit(model.init)(jax.random.key(1), images)
    return model, variables, images


@pytest.mark.parametrize(
    "name", ["lenet5", pytest.param("resnet20", marks=pytest.mark.slow)]
)
def test_a_head_on_features_says_what_the_model_does(name, boundary):
    model, variables, images = net(name, boundary)
    features, head = halves(model.apply, variables, images)
    whole = np.asarray(jax.jit(model.apply)(variables, images))
    for some in (images, images[:1]):
        maps = features(some)
        assert maps.shape == (len(some), *MAPS[name])
        np.testing.assert_allclose(head(maps), whole[: len(some)], atol=1e-4)


@pytest.mark.slow
def test_budgets_blame_the_only_cause_that_a_network_has():
    """Circular and globally pooled, ResNet-20 has aliasing alone; zeros add more."""
    shares = {}
    for boundary in ("zero", "circular"):
        model, variables, images = net("resnet20", boundary)
        pair = halves(model.apply, variables, images)
        found = error_budget(pair, images, stride=4, outputs="logits")
        shares[boundary] = {name: each.mean for name, each in found.shares.items()}
    assert shares["circular"]["aliasing"] == pytest.approx(1, abs=1e-3)
    assert shares["zero"]["head"] == pytest.approx(0, abs=1e-3)
    assert shares["zero"]["boundary"] > 0.05


def test_a_dense_head_reads_position_and_a_circular_map_has_no_boundary():
    kernel = jax.random.normal(jax.random.key(0), (3, 3, 1, 4))
    dense = jax.random.normal(jax.random.key(1), (4 * 8 * 8, 3))
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)

    def function(images, boundary):
        maps = jax.nn.relu(conv(images, kernel, boundary=boundary))
        return maps.reshape(len(maps), -1) @ dense

    for boundary, is_clean in (("circular", True), ("zero", False)):
        pair = halves(lambda images, b=boundary: function(images, b), images)
        shares = error_budget(pair, images, outputs="logits").shares
        assert (abs(shares["boundary"].mean) < 1e-4) == is_clean
        assert shares["head"].mean > 0.5


def test_what_goes_around_a_map_moves_the_cut_before_it():
    kernel = jnp.ones((3, 3, 2, 2))
    x = jax.random.normal(jax.random.key(0), (4, 8, 8, 2))

    def around(x):
        first = jnp.tanh(conv(x, kernel))
        last = pools["max_pool"](conv(first, kernel), (2, 2), strides=2)
        return last.mean((1, 2)), {"early": first.max((1, 2))}

    features, head = halves(around, x)
    assert features(x).shape == (4, 8, 8, 2)
    np.testing.assert_allclose(features(x), jnp.tanh(conv(x, kernel)), atol=1e-5)
    got, wanted = head(features(x)), around(x)
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_images_may_stand_before_other_arguments():
    weights = jnp.arange(6.0).reshape(2, 3)
    x = jax.random.normal(jax.random.key(0), (4, 5, 5, 2))

    def function(x, weights):
        return jnp.exp(x).mean((1, 2)) @ weights

    features, head = halves(function, x, weights, image=0)
    np.testing.assert_allclose(head(features(x)), function(x, weights), rtol=1e-5)
    np.testing.assert_allclose(features(x), jnp.exp(x), rtol=1e-6)


def test_a_function_without_a_map_is_refused():
    x = jnp.ones((2, 8, 8, 1))
    with pytest.raises(ValueError, match="no map of several rows .* images .2, 8, 8"):
        halves(lambda x: x.reshape(len(x), -1).sum(-1, keepdims=True), x)


@pytest.mark.parametrize(
    "images, image, message",
    [
        (np.zeros((1, 4, 4, 1)), 5, "image 5 is none of the 1 arguments"),
        ([1, 2], 0, "must be one array .*got list"),
        (np.zeros((4, 4, 1)), 0, r"must be one array .*got \(4, 4, 1\)"),
    ],
)
def test_what_are_no_images_is_refused(images, image, message):
    with pytest.raises(ValueError, match=message):
        halves(lambda x: x.mean((1, 2)), images, image=image)
