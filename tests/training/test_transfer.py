"""A backbone under a new head: what is kept, what is new, what is frozen."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from bits import bits

from cnnlab.layers import BatchNorm, Conv
from cnnlab.layers.repeated import repeated
from cnnlab.models import create_model
from cnnlab.training import (
    Method,
    Recipe,
    init,
    optimizer_of,
    train_step,
    with_learning_rate,
)
from cnnlab.training.transfer import (
    FrozenNorms,
    begin_with,
    check_backbone,
    frozen,
    head_of,
    matching,
    replace_head,
)

STEPS = 4
RECIPE = Recipe(
    steps=STEPS,
    learning_rate=0.1,
    schedule="linear",
    momentum=0.9,
    weight_decay=0.01,
    clip=0.5,
    ema_decay=0.5,
)


class Block(nn.Module):
    """A normalised convolution."""

    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.relu(BatchNorm(not train)(Conv(2, 3, use_bias=False)(x)))


class Net(nn.Module):
    """Two blocks, two more in one loop, and a dense layer."""

    num_classes: int = 3

    @nn.compact
    def __call__(self, x, *, train=False):
        x = Block(name="first")(x, train=train)
        x = Block(name="second")(x, train=train)
        x = repeated(lambda: Block(name="loop"), 2, x, train, scan=True)
        return nn.Dense(self.num_classes, name="scores")(x.mean((1, 2)))


@pytest.fixture(scope="module")
def batch():
    examples = tiny.split()
    data = tiny.data()
    return data.batch(jnp.arange(6))[0], examples.labels[:6]


def began(seed, classes=3):
    images = jnp.zeros((1, *tiny.IMAGE_SHAPE))
    return jax.jit(Net(classes).init)(jax.random.key(seed), images)


@pytest.fixture(scope="module")
def trained():
    """The variables of a net whose statistics are not those that it began with."""
    variables = began(7)
    rng = np.random.default_rng(8)
    return jax.tree.map(
        lambda leaf: leaf + rng.uniform(0.1, 0.2, leaf.shape).astype(leaf.dtype),
        variables,
    )


@functools.cache
def heads(name):
    model = create_model(name)
    return sorted(head_of(model, model.image_shape))


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        ("lenet5", ["Dense_2"]),
        ("zeiler_fergus(lrn=True)", ["Dense_0"]),
        ("nin_cifar10", ["Conv_8"]),
        ("strided_b", ["Conv_6"]),
        ("resnet110", ["Dense_0"]),
        ("vgg11(head='conv')", ["DenseHead_0/Dense_2"]),
        pytest.param(
            "googlenet",
            ["auxiliary_4a/scores", "auxiliary_4d/scores", "scores"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_head_is_what_goes_with_the_classes(model, layers):
    assert heads(model) == [
        f"{name}/{of}" for name in layers for of in ("bias", "kernel")
    ]


def test_a_net_of_fixed_codes_has_no_head():
    with pytest.raises(ValueError, match="no parameters that go with its classes"):
        heads("lenet5_1998")


def test_only_the_head_is_replaced(trained):
    trained = dict(trained)
    fresh = began(1, classes=5)
    head = {"scores/kernel", "scores/bias"}
    got = replace_head(trained, fresh, head)
    assert bits(got["params"]["scores"]) == bits(fresh["params"]["scores"])
    assert got["params"]["scores"]["kernel"].shape == (2, 5)
    for tree in (got, trained):
        tree["params"] = {**tree["params"], "scores": None}
    assert bits(got) == bits(trained)
    # A step may give up its buffers, and the trained net is still there.
    pointers = [
        {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(tree)}
        for tree in (got, trained, fresh)
    ]
    assert not pointers[0] & (pointers[1] | pointers[2])


def test_a_head_of_as_many_classes_is_new_too(trained):
    fresh = began(1)
    got = replace_head(trained, fresh, head_of(Net(), tiny.IMAGE_SHAPE))
    assert bits(got["params"]["scores"]) == bits(fresh["params"]["scores"])


def test_parameters_take_the_dtype_of_the_net_to_train(trained):
    fresh = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), trained)
    got = replace_head(trained, fresh, {"scores/kernel", "scores/bias"})
    assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda params: params["first"]["Conv_0"].update(kernel=jnp.ones((3, 3, 1))),
            r"params/first/Conv_0/kernel is \[3, 3, 1\] in the trained net and "
            r"\[3, 3, 2, 2\] in the one to train; only the head may differ: scores",
        ),
        (
            lambda params: params.pop("second"),
            "params/second/BatchNorm_0/bias is missing in the trained net and",
        ),
        (
            lambda params: params.update(third={"bias": jnp.ones(1)}),
            r"params/third/bias is \[1\] in the trained net and missing in the",
        ),
    ],
)
def test_more_than_a_head_that_differs_is_refused(trained, change, message):
    other = jax.tree.map(lambda leaf: leaf, trained)
    change(other["params"])
    with pytest.raises(ValueError, match=f"^{message}"):
        check_backbone(other, trained, {"scores/kernel", "scores/bias"})


PATHS = (
    "first/BatchNorm_0/bias",
    "first/BatchNorm_0/scale",
    "first/Conv_0/kernel",
    "loop/BatchNorm_0/bias",
    "loop/BatchNorm_0/scale",
    "loop/Conv_0/kernel",
    "scores/bias",
    "scores/kernel",
    "second/BatchNorm_0/bias",
    "second/BatchNorm_0/scale",
    "second/Conv_0/kernel",
)


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        ((), ()),
        (("*",), PATHS),
        (("first",), PATHS[:3]),
        (("first/Conv_0",), PATHS[2:3]),
        (("first/Conv_0/kernel",), PATHS[2:3]),
        (("[fl]*",), PATHS[:6]),
        (("*/scale",), (PATHS[1], PATHS[4], PATHS[9])),
        (("*/BatchNorm_*", "scores"), (*PATHS[:2], *PATHS[3:5], *PATHS[6:10])),
        (("second", "second/Conv_?"), PATHS[8:]),
    ],
)
def test_a_pattern_is_of_a_path_or_of_its_beginning(trained, patterns, wanted):
    assert matching(trained["params"], patterns) == set(wanted)


def test_what_is_spared_is_matched_by_no_pattern(trained):
    found = matching(trained["params"], ("*",), spared=PATHS[6:8])
    assert found == set(PATHS) - set(PATHS[6:8])
    with pytest.raises(ValueError, match="'scores' matches none"):
        matching(trained["params"], ("scores",), spared=PATHS[6:8])


@pytest.mark.parametrize("pattern", ["Conv_0", "irst", "first/", "FIRST", "kernel"])
def test_a_pattern_that_matches_nothing_is_told_with_some_paths(trained, pattern):
    with pytest.raises(ValueError) as error:
        matching(trained["params"], ("first", pattern))
    assert str(error.value) == (
        f"'{pattern}' matches none of the parameters, which are {', '.join(PATHS[:4])} "
        "and 7 more"
    )


METHOD = Method(ema_decay=RECIPE.ema_decay)


@pytest.fixture(scope="module")
def fine_tuned(trained, batch):
    """The states of three steps with a block, a loop and a bias frozen."""
    paths = matching(trained["params"], ("first", "loop", "second/*/bias"))
    model = FrozenNorms(Net(), paths)
    optimizer = frozen(optimizer_of(RECIPE, STEPS), paths)
    state = init(model, optimizer, 0, tiny.IMAGE_SHAPE, averaged=True)
    state = begin_with(state, trained, optimizer)
    step = jax.jit(lambda state: train_step(model, optimizer, state, *batch, METHOD)[0])
    states = [state]
    for _ in range(3):
        states.append(step(states[-1]))
    return paths, states


def test_frozen_parameters_stay_to_the_bit_and_all_others_move(fine_tuned):
    paths, (before, *_, after) = fine_tuned
    for tree in ("params", "average"):
        old, new = (
            flattened(getattr(state, tree).get("params", getattr(state, tree)))
            for state in (before, after)
        )
        still = {path for path in PATHS if old[path].tobytes() == new[path].tobytes()}
        assert still == paths


def test_statistics_of_a_norm_stay_where_its_scale_is_frozen(fine_tuned):
    _, (before, *_, after) = fine_tuned
    for layer, stays in (("first", True), ("loop", True), ("second", False)):
        old, new = bits(before.batch_stats[layer]), bits(after.batch_stats[layer])
        assert all((old[name] == new[name]) == stays for name in old)


def test_a_step_is_one_of_masked_descent_written_out(fine_tuned, trained, batch):
    """Two steps; frozen norms are those of evaluation, others those of training."""
    paths, (_, *states) = fine_tuned
    images, labels = batch

    def block(x, params, stats, frozen):
        x = nn.Conv(2, (3, 3), use_bias=False).apply({"params": params["Conv_0"]}, x)
        norm = nn.BatchNorm(use_running_average=frozen, momentum=0.9)
        of_norm = {"params": params["BatchNorm_0"], "batch_stats": stats["BatchNorm_0"]}
        x, new = norm.apply(of_norm, x, mutable=["batch_stats"])
        return nn.relu(x), {"BatchNorm_0": new["batch_stats"]}

    def loss(params, stats):
        x, _ = block(images, params["first"], stats["first"], True)
        x, second = block(x, params["second"], stats["second"], False)
        for at in (0, 1):
            both = params["loop"], stats["loop"]
            x, _ = block(x, *jax.tree.map(lambda leaf: leaf[at], both), True)  # noqa: B023
        head = params["scores"]
        scores = jax.nn.log_softmax(x.mean((1, 2)) @ head["kernel"] + head["bias"])
        return -scores[jnp.arange(len(labels)), labels].mean(), stats | {
            "second": second
        }

    params, stats = trained["params"], trained["batch_stats"]
    gradient_of = jax.jit(jax.grad(loss, has_aux=True))
    velocity = {path: 0.0 for path in PATHS if path not in paths}
    for step in range(2):
        gradients, stats = gradient_of(params, stats)
        flat = flattened(gradients)
        length = np.sqrt(sum(np.sum(np.square(flat[path])) for path in velocity))
        assert length > RECIPE.clip
        new = flattened(params)
        for path in velocity:
            gradient = flat[path] * RECIPE.clip / length
            if path.endswith("kernel"):
                gradient = gradient + RECIPE.weight_decay * new[path]
            velocity[path] = RECIPE.momentum * velocity[path] + gradient
            rate = RECIPE.learning_rate * (1 - step / STEPS)
            new[path] = new[path] - rate * velocity[path]
        got = flattened(states[step].params)
        for path in PATHS:
            np.testing.assert_allclose(got[path], new[path], rtol=1e-4, atol=1e-6)
        params = unflattened(new)
    tiny.assert_trees_close(states[1].batch_stats, stats)


def flattened(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }


def unflattened(flat):
    tree = {}
    for path, leaf in flat.items():
        *above, last = path.split("/")
        place = tree
        for name in above:
            place = place.setdefault(name, {})
        place[last] = leaf
    return tree


def test_a_frozen_optimizer_takes_another_rate(trained):
    params = trained["params"]
    optimizer = frozen(
        optimizer_of(Recipe(steps=1, momentum=0.0), 1), matching(params, ("first",))
    )
    state = init(Net(), optimizer, 0, tiny.IMAGE_SHAPE)
    ones = jax.tree.map(jnp.ones_like, params)
    for rate in (0.25, 0.5):
        changed = with_learning_rate(state, rate)
        updates, _ = optimizer.update(ones, changed.opt_state, params)
        for path, update in flattened(updates).items():
            assert (update == (0 if path.startswith("first") else -rate)).all()


def test_nothing_frozen_leaves_the_optimizer_as_it_is():
    optimizer = optax.sgd(0.1)
    assert frozen(optimizer, frozenset()) is optimizer


def test_frozen_norms_have_the_variables_and_scores_of_the_net(trained, batch):
    images, _ = batch
    wrapped = FrozenNorms(Net(), frozenset(PATHS))
    shapes = [
        jax.eval_shape(model.init, jax.random.key(0), images)
        for model in (wrapped, Net())
    ]
    assert jax.tree.structure(shapes[0]) == jax.tree.structure(shapes[1])
    evaluated = jax.jit(functools.partial(Net().apply, train=False))(trained, images)
    for train in (False, True):
        got, kept = jax.jit(
            functools.partial(wrapped.apply, train=train, mutable=["batch_stats"])
        )(trained, images)
        np.testing.assert_allclose(got, evaluated, rtol=1e-6)
        assert bits(kept["batch_stats"]) == bits(trained["batch_stats"])
