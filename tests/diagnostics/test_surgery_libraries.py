"""Functions of Linen, NNX, Haiku and Equinox are swapped, parameters untouched."""

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from cnnlab.diagnostics import surgery
from cnnlab.ops import max_blur_pool

X = jax.random.normal(jax.random.key(0), (2, 16, 16, 3))
KERNEL = 0.3 * jax.random.normal(jax.random.key(1), (3, 3, 3, 4))
BIAS = jnp.linspace(-0.5, 0.5, 4)


def _linen():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.relu(nn.Conv(4, (3, 3), 2, padding=1)(x))
            x = nn.avg_pool(x, (3, 3), (2, 2), "SAME", count_include_pad=False)
            return nn.max_pool(x, (2, 2), (2, 2))

    return Net().apply, {"params": {"Conv_0": {"kernel": KERNEL, "bias": BIAS}}}


def _nnx():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.conv = nnx.Conv(3, 4, (3, 3), 2, padding=1, rngs=rngs)

        def __call__(self, x):
            x = nnx.relu(self.conv(x))
            x = nnx.avg_pool(x, (3, 3), (2, 2), "SAME", count_include_pad=False)
            return nnx.max_pool(x, (2, 2), (2, 2))

    graph, state = nnx.split(Net(nnx.Rngs(0)))
    nnx.replace_by_pure_dict(state, {"conv": {"kernel": KERNEL, "bias": BIAS}})
    return lambda state, x: nnx.merge(graph, state)(x), state


def _haiku():
    def forward(x):
        x = jax.nn.relu(hk.Conv2D(4, 3, 2, padding=((1, 1), (1, 1)))(x))
        x = hk.AvgPool((3, 3, 1), (2, 2, 1), "SAME")(x)
        return hk.MaxPool((2, 2, 1), (2, 2, 1), "VALID")(x)

    net = hk.without_apply_rng(hk.transform(forward))
    return net.apply, {"conv2_d": {"w": KERNEL, "b": BIAS}}


def _equinox():
    key = jax.random.key(0)
    first = eqx.nn.Conv2d(3, 4, 3, 2, 1, key=key)
    weights = KERNEL.transpose(3, 2, 0, 1), BIAS[:, None, None]
    first = eqx.tree_at(lambda conv: (conv.weight, conv.bias), first, weights)
    net = eqx.nn.Sequential(
        [
            first,
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.AvgPool2d(2, 2),
            eqx.nn.MaxPool2d(2, 2),
        ]
    )

    def apply(net, x):
        return jax.vmap(net)(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)

    return apply, net


def _dense_by_hand(x):
    """The convolution at stride 1, with bias and activation."""
    numbers = ("NHWC", "HWIO", "NHWC")
    y = lax.conv_general_dilated(
        x, KERNEL, (1, 1), ((1, 1), (1, 1)), dimension_numbers=numbers
    )
    return jax.nn.relu(y + BIAS)


def _mean_by_hand(x, size):
    """Flax's SAME mean of real entries, or Equinox's of whole windows."""
    padding = ((0, 0), (0, size - 2), (0, size - 2), (0, 0))
    total, counts = (
        lax.reduce_window(y, 0.0, lax.add, (1, size, size, 1), (1, 2, 2, 1), padding)
        for y in (x, jnp.ones_like(x))
    )
    return total / counts


@pytest.mark.parametrize(
    "library, size", [(_linen, 3), (_nnx, 3), (_haiku, 3), (_equinox, 2)]
)
def test_a_function_of_the_library_is_swapped(library, size):
    apply, parameters = library()
    sites = surgery.sites(apply, parameters, X)
    assert [site.kind for site in sites] == ["convolution", "pool", "pool"]
    assert all(site.obstacle is None for site in sites)
    unchanged = surgery.swap_downsampling(apply, lambda site: site.itself)
    wanted = apply(parameters, X)
    # It takes trees that hold functions, as Equinox's do.
    same = eqx.filter_jit(unchanged)(parameters, X)
    np.testing.assert_allclose(same, wanted, atol=1e-5)

    swapped = surgery.swap_downsampling(apply, {0: "max_blur_pool", 2: max_blur_pool})
    thinned = max_blur_pool(_dense_by_hand(X), 2, 2)
    by_hand = max_blur_pool(_mean_by_hand(thinned, size), 2, 2)
    got = eqx.filter_jit(swapped)(parameters, X)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, by_hand, atol=1e-5)
    assert not np.allclose(got, wanted, atol=1e-2)
