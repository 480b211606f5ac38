"""What the models compute."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from expected_models import EXPECTED, SLOW_TO_COMPILE, smallest_of_each_family

from cnnlab.models import create_model
from cnnlab.models.network import options_of

# Compiling a whole network takes far longer here than running it.
fast_compile = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)

FAMILIES = smallest_of_each_family()
# Dense layers, normalisations in blocks, and neither.
QUICK = {"lenet5", "resnet20", "base_a"}


def unless(quick, names):
    """Marks the others slow: they take long, and bring little that is new."""
    return [
        name if name in quick else pytest.param(name, marks=pytest.mark.slow)
        for name in names
    ]


# And of those that are others with more blocks or maps alike, the deepest.
EVERY_KIND = pytest.mark.parametrize(
    "name", unless(QUICK, sorted({*FAMILIES, "all_cnn_c", "resnet1202"}))
)
EVERY_FAMILY_DRAWING = pytest.mark.parametrize(
    "name", unless(QUICK, sorted(set(FAMILIES) - SLOW_TO_COMPILE))
)
EVERY_FAMILY_BEYOND_THE_MAP = pytest.mark.parametrize(
    "name, boundary",
    [
        pytest.param(name, boundary, marks=() if quick else pytest.mark.slow)
        for name, boundary in zip(
            sorted(set(FAMILIES) - SLOW_TO_COMPILE),
            itertools.cycle(["circular", "reflect"]),
        )
        for quick in [name in {"lenet5", "resnet20"}]
    ],
)


def images(name, seed=0):
    side, channels = EXPECTED[name].tiny_side, create_model(name).image_shape[-1]
    values = np.random.default_rng(seed).normal(size=(2, side, side, channels))
    return jnp.asarray(values, jnp.float32)


def small_model(name, **options):
    """The model by name, with few features in hidden dense layers and blocks in loops.

    To draw millions of weights takes longer than all else, and then to compile every
    block of a deep network by itself.
    """
    own = options_of(type(create_model(name)))
    if "head_features" in own:
        options["head_features"] = 64
    if "scan" in own and name not in QUICK | SLOW_TO_COMPILE:
        options["scan"] = True
    return create_model(name, **options)


# The variables of all larger members of the families would not fit into memory.
@functools.lru_cache(maxsize=len(FAMILIES))
def begin(name):
    """The variables of the model, which are the same for every pool and boundary."""
    x = jax.ShapeDtypeStruct(images(name).shape, jnp.float32)
    return small_model(name).lazy_init(jax.random.key(0), x)


@pytest.mark.parametrize("name", sorted(QUICK))
def test_in_training_the_scores_change_with_the_pools_rng(name):
    model, x, variables = (
        small_model(name, pool="stochastic_pool"),
        images(name),
        begin(name),
    )

    @fast_compile
    def scores(seed):
        rngs = {"pool": jax.random.key(seed), "dropout": jax.random.key(0)}
        apply = functools.partial(model.apply, train=True, mutable=["batch_stats"])
        return apply(variables, x, rngs=rngs)[0]

    np.testing.assert_array_equal(scores(0), scores(0))
    assert (scores(0) != scores(1)).any()


@pytest.mark.parametrize("name", sorted(QUICK))
def test_in_evaluation_a_model_that_draws_needs_no_rng(name):
    apply = fast_compile(small_model(name, pool="stochastic_pool").apply)
    assert jnp.isfinite(apply(begin(name), images(name))).all()


@EVERY_KIND
def test_a_step_down_a_finite_gradient_lowers_the_loss(name):
    before, losses = losses_around_a_step(name, "max_pool")
    assert any(after < before for after in losses)


@EVERY_FAMILY_DRAWING
def test_a_gradient_step_with_draws_is_finite(name):
    # Draws depend on the parameters, and the loss jumps with them: it may rise.
    before, losses = losses_around_a_step(name, "stochastic_pool")
    assert all(map(jnp.isfinite, (before, *losses)))


@EVERY_FAMILY_BEYOND_THE_MAP
def test_a_step_lowers_the_loss_on_a_torus_and_mirrored(name, boundary):
    before, losses = losses_around_a_step(name, "max_pool", boundary)
    assert any(after < before for after in losses)


def losses_around_a_step(name, pool, boundary="zero"):
    """The losses before and after steps down a gradient that is finite."""
    model = small_model(name, pool=pool, boundary=boundary)
    x, labels = images(name), jnp.array([3, 5]) % model.num_classes
    rngs = {"pool": jax.random.key(0), "dropout": jax.random.key(1)}

    def loss(params, batch_stats):
        variables = {"params": params} | batch_stats
        apply = functools.partial(model.apply, train=True, mutable=["batch_stats"])
        scores, _ = apply(variables, x, rngs=rngs)
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(scores, labels)
        return cross_entropy.mean()

    step = fast_compile(jax.value_and_grad(loss))
    batch_stats = dict(begin(name))
    params = batch_stats.pop("params")
    before, gradient = step(params, batch_stats)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))

    def after(length):
        """The loss after a step of that length down the slope."""
        length = length / optax.tree.norm(gradient)
        moved = jax.tree.map(lambda p, g: p - length * g, params, gradient)
        return step(moved, batch_stats)[0]

    # The deeper the network, the shorter the way for which its loss follows its slope.
    return before, [after(length) for length in (1e-2, 1e-3, 1e-4)]
