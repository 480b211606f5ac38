"""Every model by name: its parameters, its maps, its options. Nothing is computed."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import pytest
from expected_models import EXPECTED, SLOW_TO_COMPILE, smallest_of_each_family

from cnnlab.models import create_model, list_models, models
from cnnlab.ops import global_pools, pools

MODELS = pytest.mark.parametrize("name", list_models())
# Options are each family's own, so one member shows what they do.
SMALLEST = smallest_of_each_family()
FAMILIES = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW_TO_COMPILE else name
        for name in SMALLEST
    ],
)
QUICK = {"lenet5", "resnet20", "alexnet"}
FAMILIES_BY_EVERY_POOL = pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in SMALLEST
    ],
)
EVERY_MODEL = pytest.mark.parametrize(
    "name",
    [
        name if name in SMALLEST else pytest.param(name, marks=pytest.mark.slow)
        for name in list_models()
    ],
)


@functools.cache
def shapes(name, *, channels=None, classes=None, **options):
    """The shapes of the (scores, variables) for two of the paper's images."""
    model = create_model(name, classes, **options)
    *sides, own = model.image_shape
    images = jnp.zeros((2, *sides, channels or own))
    return jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), images))


def parameters(name, **keywords):
    _, variables = shapes(name, **keywords)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))


@functools.cache
def begun(name):
    """The variables for two of the paper's images, and what each layer then gives."""
    model = create_model(name)
    images = jnp.zeros((2, *model.image_shape))
    # One trace for both, as that of a deep network takes long.
    begin = functools.partial(model.init, capture_intermediates=True, mutable=True)
    return jax.eval_shape(begin, jax.random.key(0), images)


@MODELS
def test_the_number_of_parameters(name):
    assert name in EXPECTED, f"{name} has no exact number of parameters here"
    leaves = jax.tree.leaves(begun(name)["params"])
    assert sum(math.prod(leaf.shape) for leaf in leaves) == EXPECTED[name].parameters


def test_option_b_adds_two_projections_and_their_norms():
    more = parameters("resnet20", shortcut="projection") - parameters("resnet20")
    assert more == sum(a * b + 2 * b for a, b in ((16, 32), (32, 64))) == 2_752


def test_response_normalisation_has_no_parameters():
    assert shapes("zeiler_fergus", lrn=True) == shapes("zeiler_fergus")


def test_a_head_may_be_any_global_pool():
    head = {"global_avg_pool": 0, "global_max_pool": 0, "global_concat_pool": 64 * 10}
    assert set(head) == set(global_pools)
    for name, more in head.items():
        assert parameters("resnet20", head_pool=name) == parameters("resnet20") + more


@pytest.mark.parametrize("name", ["base_a", "nin_cifar10"])
def test_a_head_on_a_map_per_class_keeps_the_classes(name):
    assert shapes(name, head_pool="global_max_pool") == shapes(name)
    with pytest.raises(ValueError, match="head_pool 'glob.*20 scores for 10 classes;"):
        shapes(name, head_pool="global_concat_pool")


@FAMILIES
def test_a_score_for_every_class(name):
    scores, _ = shapes(name, classes=7)
    assert scores.shape == (2, 7)


@FAMILIES
def test_any_number_of_image_channels(name):
    scores, _ = shapes(name, channels=5)
    assert scores.shape == (2, create_model(name).num_classes)


@FAMILIES_BY_EVERY_POOL
def test_a_pool_without_weights_changes_no_variable(name):
    wanted = shapes(name)
    for pool in pools:
        if not pools[pool].weights and gives_the_size_of_its_window(pools[pool]):
            assert shapes(name, pool=pool) == wanted, pool


@EVERY_MODEL
def test_a_downsampling_changes_no_variable_and_no_size(name):
    assert shapes(name, downsample="blur_pool(window_shape=3)") == shapes(name)


@FAMILIES_BY_EVERY_POOL
def test_every_downsampling_without_weights_changes_no_variable(name):
    wanted = shapes(name, boundary="circular")
    for spec in ("max_pool", "adaptive_polyphase(pool=None)", "spectral_pool"):
        assert shapes(name, boundary="circular", downsample=spec) == wanted, spec


def gives_the_size_of_its_window(pool):
    """Not so where a ratio stands for the strides."""
    out = jax.eval_shape(lambda x: pool(x, 2, 2), jnp.zeros((1, 28, 28, 1)))
    return out.shape == (1, 14, 14, 1)


@FAMILIES_BY_EVERY_POOL
@pytest.mark.parametrize("pool", [pool for pool in pools if pools[pool].weights])
def test_a_pool_with_weights_brings_nothing_but_them(name, pool):
    def paths(**options):
        flat = jax.tree_util.tree_leaves_with_path(shapes(name, **options)[1])
        return {tuple(part.key for part in path) for path, _ in flat}

    added = paths(pool=pool) - paths()
    assert added and paths() <= paths(pool=pool)
    assert {path[-1] for path in added} == set(pools[pool].weights)


@MODELS
def test_the_sides_of_the_maps(name):
    assert name in EXPECTED, f"{name} has no sides of its maps here"
    outputs = begun(name)["intermediates"]
    for path, side in EXPECTED[name].sides.items():
        layer = functools.reduce(lambda tree, key: tree[key], path.split("/"), outputs)
        (output,) = layer["__call__"]
        # Repeated blocks are seen together, their axis before the others.
        assert output.shape[-3:-1] == (side, side), path


@FAMILIES
def test_half_precision_computes_in_it_and_keeps_its_parameters(name):
    scores, variables = shapes(name, dtype=jnp.bfloat16)
    assert scores.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@FAMILIES
def test_a_function_serves_as_a_pool(name):
    def strided(x, window_shape, strides, padding):
        return pools["max_pool"](x, window_shape, strides, padding)

    assert shapes(name, pool=strided) == shapes(name, pool="max_pool")


def test_models_are_listed_in_order():
    assert list_models() == sorted(EXPECTED)


@FAMILIES
def test_a_pool_may_be_left_out_where_something_else_subsamples(name):
    if create_model(name).subsamples_without_pool:
        assert shapes(name, pool=None)[1] == shapes(name)[1]
    else:
        message = f"pool=None: {type(create_model(name)).__name__} needs a pool"
        with pytest.raises(ValueError, match=f"^{message}$"):
            create_model(name, pool=None)


# What a docstring says of its source: author and year, a place in it, the beginning.
SAID = {
    "author and year": r"[A-Z][a-z]+( et al\.)?, (19|20)\d\d\b",
    "figure, table or section": r"(?i)\b(figure|table|section)s? [0-9IV]",
    "how weights start": r"(?i)\b(kernels|weights)( here)?(, coefficients and biases)? "
    r"start from\b",
}


@MODELS
def test_its_docstring_names_its_source_and_how_weights_start(name):
    texts = models[name].__doc__, type(create_model(name)).__doc__
    text = " ".join("\n".join(texts).split())
    missing = [what for what, words in SAID.items() if not re.search(words, text)]
    assert not missing
