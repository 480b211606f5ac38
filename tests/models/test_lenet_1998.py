"""The LeNet-5 of 1998 against its paper, written out in NumPy."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.models import create_model
from cnnlab.models.lenet_1998 import lenet5_1998_loss, squared_distances
from cnnlab.models.lenet_1998_codes import digit_codes

# Table I: a row for each map of S2, a column for each of C3.
TABLE = """
X . . . X X X . . X X X X . X X
X X . . . X X X . . X X X X . X
X X X . . . X X X . . X . X X X
. X X X . . X X X X . . X . X X
. . X X X . . X X X X . X X . X
. . . X X X . . X X X X . X X X
"""
CONNECTED = np.array([row.split() for row in TABLE.strip().split("\n")]) == "X"


@functools.cache
def model_and_variables():
    model = create_model("lenet5_1998")
    return model, model.init(jax.random.key(0), images(1))


def large(variables):
    """As if trained: the paper's first weights give every image nearly the same."""
    return jax.tree.map(lambda leaf: 5 * leaf, variables)


def images(count, seed=0):
    values = np.random.default_rng(seed).normal(size=(count, 32, 32, 1))
    return jnp.asarray(values, jnp.float32)


def squash(a):
    return 1.7159 * np.tanh(2 / 3 * a)


def c3_kernel(weights):
    """The weights of the connections, map after map, in a kernel with zeros."""
    kernel, taken = np.zeros((5, 5, 6, 16)), 0
    for o in range(16):
        for i in range(6):
            if CONNECTED[i, o]:
                kernel[:, :, i, o] = weights[:, :, taken]
                taken += 1
    assert taken == weights.shape[-1] == 60
    return kernel


def convolved(x, kernel, bias):
    height, width = x.shape[0] - 4, x.shape[1] - 4
    out = np.empty((height, width, kernel.shape[-1]))
    for i, j in np.ndindex(height, width):
        out[i, j] = np.tensordot(x[i : i + 5, j : j + 5], kernel, 3) + bias
    return squash(out)


def subsampled(x, coefficient, bias):
    total = x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]
    return squash(coefficient * total + bias)


def by_hand(params, image):
    """The penalties of the ten classes."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    x = convolved(np.asarray(image, np.float64), *in_order(params["C1"]))
    x = subsampled(x, params["S2"]["coefficient"], params["S2"]["bias"])
    x = convolved(x, c3_kernel(params["C3"]["kernel"]), params["C3"]["bias"])
    x = subsampled(x, params["S4"]["coefficient"], params["S4"]["bias"])
    x = convolved(x, *in_order(params["C5"]))[0, 0]
    x = squash(x @ params["F6"]["kernel"] + params["F6"]["bias"])
    return np.array([sum((x - code) ** 2) for code in digit_codes()])


def in_order(params):
    return params["kernel"], params["bias"]


def test_scores_are_minus_the_penalties_of_the_paper():
    model, variables = model_and_variables()
    x, variables = images(2), large(variables)
    wanted = [-by_hand(variables["params"], image) for image in x]
    assert np.ptp(wanted) > 10
    np.testing.assert_allclose(model.apply(variables, x), wanted, rtol=1e-4)


def test_the_paper_counts_of_trained_parameters():
    _, variables = model_and_variables()
    counts = {
        name: sum(leaf.size for leaf in jax.tree.leaves(layer))
        for name, layer in variables["params"].items()
    }
    layers = {"C1": 156, "S2": 12, "C3": 1_516, "S4": 32, "C5": 48_120, "F6": 10_164}
    assert counts == layers
    assert sum(counts.values()) == 60_000


@pytest.mark.slow
def test_the_paper_counts_of_connections():
    """A unit has one to its bias, and one to each number that its sum depends on."""
    model, variables = model_and_variables()
    seen = {}

    def listen(call, args, kwargs, context):
        out = call(*args, **kwargs)
        path = context.module.path
        if len(path) == 1 and context.method_name == "__call__":
            layer = context.module.clone(parent=None)
            seen[path[0]] = (layer, args[0], out.size)
        return out

    with nn.intercept_methods(listen):
        model.apply(variables, images(1))

    counts = {}
    for name, (layer, x, units) in seen.items():
        params = {"params": variables["params"][name]}

        def of_flat(flat, layer=layer, params=params, shape=x.shape):
            return layer.apply(params, flat.reshape(shape)).ravel()

        counts[name] = units + np.count_nonzero(jax.jacobian(of_flat)(x.ravel()))
    _, f6, _ = seen["F6"]
    last = jax.jacobian(squared_distances)(jnp.zeros(84), digit_codes())
    counts["output"] = np.count_nonzero(last)

    assert f6.shape == (1, 120)
    assert counts == {
        **{"C1": 122_304, "S2": 5_880, "C3": 151_600, "S4": 2_000},
        **{"C5": 48_120, "F6": 10_164, "output": 840},
    }
    assert sum(counts.values()) == 340_908


def test_weights_begin_within_the_papers_bounds_and_fill_them():
    _, variables = model_and_variables()
    params = variables["params"]
    maps_seen = np.repeat(CONNECTED.sum(0), CONNECTED.sum(0))
    fan_in = {
        **{("C1", "kernel"): 25, ("C1", "bias"): 25, ("S2", "coefficient"): 4},
        **{("S2", "bias"): 4, ("S4", "coefficient"): 4, ("S4", "bias"): 4},
        **{("C3", "kernel"): 25 * maps_seen, ("C3", "bias"): 25 * CONNECTED.sum(0)},
        **{("C5", "kernel"): 400, ("C5", "bias"): 400},
        **{("F6", "kernel"): 120, ("F6", "bias"): 120},
    }
    assert set(fan_in) == {(layer, name) for layer in params for name in params[layer]}
    for (layer, name), inputs in fan_in.items():
        scaled = np.asarray(params[layer][name]) * inputs / 2.4
        assert abs(scaled).max() <= 1 + 1e-6
        if scaled.size > 1000:
            np.testing.assert_allclose(scaled.mean(), 0, atol=0.05)
            # That of a uniform distribution.
            np.testing.assert_allclose(scaled.var(), 1 / 3, rtol=0.05)


def test_another_pool_takes_the_place_of_the_sum_alone():
    model, variables = model_and_variables()
    x, variables = images(2), large(variables)
    averaging = model.clone(pool="avg_pool")
    scaled = jax.tree_util.tree_map_with_path(
        lambda path, leaf: 4 * leaf if path[-1].key == "coefficient" else leaf,
        variables,
    )
    wanted = model.apply(variables, x)
    np.testing.assert_allclose(averaging.apply(scaled, x), wanted, rtol=1e-4)
    other = model.clone(pool="max_pool").apply(variables, x)
    assert not np.allclose(other, wanted, rtol=1e-2)


def test_codes_are_ten_bitmaps_that_differ():
    codes = digit_codes()
    assert codes.shape == (10, 12 * 7)
    assert set(codes.ravel()) == {-1, 1}
    distances = np.array(squared_distances(jnp.asarray(codes), codes))
    assert (distances.diagonal() == 0).all()
    # Four for each pixel in which two differ.
    assert distances[~np.eye(10, dtype=bool)].min() >= 4 * 8
    bitmaps = codes.reshape(10, 12, 7)
    # A zero is symmetric, and a one has no ink in its upper right corner.
    np.testing.assert_array_equal(bitmaps[0], bitmaps[0, :, ::-1])
    assert (bitmaps[1, :6, 5:] == -1).all()
    # Digits stand on one line, and the four alone goes below it.
    below = (bitmaps[:, 10:] == 1).any((1, 2))
    assert (bitmaps[:, 9] == 1).any(1).all() and np.flatnonzero(below) == [4]


def test_the_loss_is_equation_nine():
    scores = -np.random.default_rng(0).uniform(0, 30, (5, 4))
    labels = np.array([0, 3, 1, 2, 2])
    wanted = [
        y[label] + np.log(np.exp(-7.0) + np.exp(-y).sum())
        for y, label in zip(-scores, labels, strict=True)
    ]
    got = lenet5_1998_loss(jnp.asarray(scores), jnp.asarray(labels), j=7.0)
    np.testing.assert_allclose(got, np.mean(wanted), rtol=1e-5)


def test_penalties_well_above_the_constant_are_not_pushed_up():
    labels = jnp.array([0])

    def slope(penalty):
        def loss(penalty):
            return lenet5_1998_loss(jnp.array([[-5.0, -penalty]]), labels, j=10.0)

        return float(jax.grad(loss)(penalty))

    assert slope(7.0) < -0.1
    assert abs(slope(30.0)) < 1e-6


def test_a_large_constant_gives_the_cross_entropy():
    scores, labels = jnp.array([[-3.0, -1.0, -8.0]]), jnp.array([2])
    wanted = -jax.nn.log_softmax(scores)[0, 2]
    got = lenet5_1998_loss(scores, labels, j=1e3)
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_classes_without_a_code_are_refused():
    with pytest.raises(ValueError, match="num_classes 11 must be 1 to 10: .* codes"):
        create_model("lenet5_1998", num_classes=11)


def test_images_that_are_not_padded_are_refused():
    model = create_model("lenet5_1998")
    with pytest.raises(ValueError, match="images of 32x32 .* got 28x28"):
        model.init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
