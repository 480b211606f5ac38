"""Learned polyphase: an exact choice, a hard result, a soft gradient of the weights."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from circular import assert_moves_exactly, sparse_image

from cnnlab.ops import conv
from cnnlab.ops.conformance.subject import compiled
from cnnlab.ops.learned_polyphase import learned_polyphase
from cnnlab.ops.pool_definition import weights_of

# (image without channels, window, strides, padding)
PATHS = [
    ((6, 8), (2, 2), (2, 2), "VALID"),
    ((7, 5), (3, 3), (2, 2), "VALID"),
    ((6, 7), (2, 2), (3, 2), "VALID"),
    ((9,), (3,), (3,), "SAME"),
]


def _weights(channels, seed=0, rank=2):
    rng = np.random.default_rng(seed)
    first = weights_of(learned_polyphase, (2,) * rank, channels)
    return {k: jnp.float32(v + rng.normal(size=v.shape)) for k, v in first.items()}


# Compiled with all optimizations, as the other tests are not: none may round otherwise.
@pytest.mark.parametrize("path", PATHS, ids=str)
def test_moves_exactly_with_every_circular_shift(path):
    spatial, window, strides, padding = path
    weights = _weights(3, rank=len(spatial))

    @jax.jit
    def apply(x):
        return learned_polyphase(x, window, strides, padding, **weights)

    dense = np.random.default_rng(1).normal(size=(*spatial, 3)).astype(np.float32)
    for image in dense, sparse_image(dense.shape):
        assert_moves_exactly(apply, image, strides)


def test_takes_the_largest_logit_of_the_network_in_floating_point():
    """Where no two logits are close, 8 bits decide as float32 does."""
    x = jax.random.normal(jax.random.key(0), (64, 8, 8, 3))
    weights = _weights(3)
    kept = compiled(lambda x: learned_polyphase(x, 2, 2, pool=None, **weights))(x)

    @compiled
    def logit(component):
        hidden = conv(component, weights["kernel"], boundary="circular")
        return (jax.nn.relu(hidden) @ weights["readout"]).mean((1, 2))

    logits = [logit(x[:, i::2, j::2]) for i in range(2) for j in range(2)]
    logits = np.stack(logits, 1)
    first, second = -np.sort(-logits, axis=1)[:, :2].T
    clear = first - second > 0.1
    assert clear.sum() > 32
    for index in np.flatnonzero(clear):
        row, column = divmod(int(logits[index].argmax()), 2)
        np.testing.assert_array_equal(kept[index], x[index, row::2, column::2])


@pytest.mark.parametrize(
    ("size", "strides", "key"), [((6, 8), 2, None), ((5, 7), 3, 1), ((6, 7), 2, 2)]
)
def test_weights_take_the_gradient_of_the_mean_over_offsets(size, strides, key):
    key = key if key is None else jax.random.key(key)
    x = jax.random.normal(jax.random.key(0), (2, *size, 3))
    weights = _weights(3)
    options = {"pool": None, "temperature": 0.7, "key": key}

    def loss(weights, x):
        out = learned_polyphase(x, 2, strides, **options, **weights)
        return jnp.vdot(jnp.cos(jnp.arange(out.size)), out.ravel())

    def stand_in(weights, x):
        out = jax.eval_shape(lambda: learned_polyphase(x, 2, strides))
        counts = out.shape[1:-1]
        exact = [n * strides == m for n, m in zip(counts, size, strict=True)]
        ranges = [range(strides if e else m) for e, m in zip(exact, size, strict=True)]
        shape = tuple(map(len, ranges))
        hidden = conv(
            x, weights["kernel"], padding=strides, dilation=strides, boundary="circular"
        )
        score = jax.nn.relu(hidden) @ weights["readout"]
        results, logits = [], []
        for offset in itertools.product(*ranges):
            rows, columns = (
                (o + np.arange(n) * strides) % m
                for o, n, m in zip(offset, counts, size, strict=True)
            )
            results.append(x[:, rows][:, :, columns])
            logits.append(score[:, rows][:, :, columns].mean((1, 2)))
        logits = jnp.stack(logits, 1)
        if key is not None:
            noise = jax.random.gumbel(key, (len(x), *shape))
            logits += noise.reshape(logits.shape)
        shares = jax.nn.softmax(logits / 0.7)
        mean = jnp.einsum("bk,kbhwc->bhwc", shares, jnp.stack(results))
        return jnp.vdot(jnp.cos(jnp.arange(mean.size)), mean.ravel())

    got, wanted = (compiled(jax.grad(f))(weights, x) for f in (loss, stand_in))
    for name in weights:
        assert np.any(wanted[name] != 0)
        np.testing.assert_allclose(got[name], wanted[name], rtol=2e-3, atol=1e-5)


def test_weights_change_in_one_training_step():
    x = jax.random.normal(jax.random.key(0), (4, 8, 8, 3))
    weights = jax.tree.map(jnp.float32, weights_of(learned_polyphase, 2, 3))

    @compiled
    @jax.grad
    def gradient(weights):
        out = learned_polyphase(x, 2, 2, key=jax.random.key(1), **weights)
        return jnp.mean(out**2)

    optimizer = optax.sgd(0.1)
    updates, _ = optimizer.update(gradient(weights), optimizer.init(weights))
    for name, update in updates.items():
        assert np.all(np.isfinite(update)) and np.any(update != 0), name


def test_draws_by_the_softmax_of_the_logits():
    x = jax.random.normal(jax.random.key(0), (4, 4, 1))
    weights = {"kernel": 0.3, "readout": 1.0}
    many = compiled(
        jax.vmap(lambda k: learned_polyphase(x, 2, 2, pool=None, key=k, **weights))
    )
    drawn = many(jax.random.split(jax.random.key(2), 4000))[:, 0, 0, 0]
    logits = []
    for row, column in itertools.product(range(2), repeat=2):
        around = jnp.pad(x[row::2, column::2, 0], 1, "wrap")
        total = sum(around[i : i + 2, j : j + 2] for i in range(3) for j in range(3))
        logits.append(8 * jax.nn.relu(0.3 * total).mean())
    law = jax.nn.softmax(jnp.stack(logits))
    share = [(drawn == x[r, c, 0]).mean() for r in range(2) for c in range(2)]
    assert np.ptp(law) > 0.2
    np.testing.assert_allclose(share, law, atol=0.04)


@pytest.mark.parametrize("shape", [(0, 6, 4, 3), (2, 6, 5, 0)])
@pytest.mark.parametrize("key", [None, 0])
def test_maps_without_examples_or_channels_give_such(shape, key):
    key = key if key is None else jax.random.key(key)

    @compiled
    def value_and_gradient(x):
        out, pull = jax.vjp(lambda x: learned_polyphase(x, 2, 2, key=key), x)
        return out, *pull(out)

    out, gradient = value_and_gradient(jnp.zeros(shape))
    assert out.shape == (shape[0], 3, 2, shape[-1]) and gradient.shape == shape


X = jnp.ones((2, 6, 4, 3))
REFUSED = [
    ({"temperature": 0}, ValueError, "temperature 0 must be a finite number above 0"),
    (
        {"readout": jnp.ones(3)},
        ValueError,
        r"readout of shape \(3,\) must have shape \(8,\)",
    ),
    (
        {"boundary": "zero"},
        ValueError,
        "learned_polyphase has no boundary 'zero'; choose from circular",
    ),
    ({"pool": "maxpool"}, ValueError, "unknown pool 'maxpool'"),
    ({"key": 0}, TypeError, "key takes a JAX key .* got int"),
    (
        {"key": jnp.zeros(2)},
        TypeError,
        "key takes a JAX key .* got an array of float32",
    ),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_call_is_refused_in_one_line(options, error, message):
    with pytest.raises(error, match=message):
        learned_polyphase(X, 2, 2, **options)


@pytest.mark.usefixtures("unchecked")
def test_refuses_integers():
    with pytest.raises(TypeError, match="floating-point map, got int32"):
        learned_polyphase(X.astype(jnp.int32), 2, 2)
