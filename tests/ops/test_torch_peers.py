"""Where PyTorch has the operator, ours equals it: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from geometries import signed_map

from cnnlab.ops import avg_pool, conv, local_response_norm, lp_pool, max_pool

torch = pytest.importorskip(
    "torch", reason="PyTorch (the extra `bench`) is not installed: no peer to compare"
)
functional = torch.nn.functional

pytestmark = pytest.mark.peer

# PyTorch pads at most half a window, by the same amount on both sides.
POOLS = [
    # (map without its batch and channels, window_shape, strides, padding)
    ((9,), (3,), (2,), 1),
    ((7, 6), (3, 3), (2, 2), 1),
    ((9, 8), (2, 2), (3, 4), 0),
    ((6, 5), (3, 2), (2, 1), (1, 0)),
    ((1, 1), (3, 3), (2, 2), 1),
    ((4, 5, 6), (2, 3, 2), (2, 1, 2), (1, 1, 0)),
]
POOL_CASES = pytest.mark.parametrize("case", POOLS)


def _both(ours, theirs, *arrays):
    """(values and gradients of ours, of theirs), channels last and in that order.

    The first array is the map, which PyTorch wants with its channels first.
    """
    out, pull = jax.vjp(ours, *map(jnp.asarray, arrays))
    weights = np.cos(np.arange(out.size, dtype=np.float32)).reshape(out.shape)
    mine = out, *pull(jnp.asarray(weights))
    inputs = [torch.tensor(array, requires_grad=True) for array in arrays]
    other = theirs(inputs[0].movedim(-1, 1), *inputs[1:]).movedim(1, -1)
    other.backward(torch.tensor(weights))
    return mine, (other.detach().numpy(), *(i.grad.numpy() for i in inputs))


def _assert_equal(ours, theirs, *arrays):
    for got, wanted in zip(*_both(ours, theirs, *arrays), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=2e-5)


def _pool(name, rank):
    return getattr(functional, f"{name}_pool{rank}d")


def _special(shape, *values):
    """A map with ties in which some entries are `values`."""
    x = signed_map((2, *shape, 3))
    places = np.random.default_rng(1).random(x.shape)
    for i, value in enumerate(values):
        x[(places > 0.2 * i) & (places < 0.2 * (i + 1))] = value
    return x


@POOL_CASES
@pytest.mark.parametrize(
    "values", [(), (-np.inf,), (np.nan,), (np.nan, np.inf, -np.inf)], ids=str
)
def test_max_pool(case, values):
    shape, window, strides, padding = case
    _assert_equal(
        lambda x: max_pool(x, window, strides, padding),
        lambda x: _pool("max", len(shape))(x, window, strides, padding),
        _special(shape, *values),
    )


@pytest.mark.parametrize("value", [-np.inf, 0.0])
def test_max_pool_of_one_value_everywhere(value):
    _assert_equal(
        lambda x: max_pool(x, 3, 2, 1),
        lambda x: functional.max_pool2d(x, 3, 2, 1),
        np.full((1, 5, 6, 2), value, np.float32),
    )


@POOL_CASES
@pytest.mark.parametrize("counted", [True, False])
def test_avg_pool(case, counted):
    shape, window, strides, padding = case
    _assert_equal(
        lambda x: avg_pool(x, window, strides, padding, count_include_pad=counted),
        lambda x: _pool("avg", len(shape))(
            x, window, strides, padding, count_include_pad=counted
        ),
        _special(shape),
    )


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("case", [c for c in POOLS if not np.any(c[3])])
def test_lp_pool(case, p):
    shape, window, strides, _ = case
    # Theirs has the root's infinite slope on a window of zeros, and signs at odd p.
    _assert_equal(
        lambda x: lp_pool(x, window, strides, p=p, normalize=False),
        lambda x: _pool("lp", len(shape))(x, p, window, strides),
        np.abs(_special(shape)) + np.float32(0.1),
    )


@pytest.mark.parametrize("lowering", ["lax", "im2col"])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("boundary", ["zero", "circular", "reflect", "edge"])
def test_conv(rank, boundary, lowering):
    modes = {"zero": "constant", "edge": "replicate"}
    padding = [(1, 2), (2, 1), (0, 1)][:rank]
    strides, dilation, groups = (2, 1, 2)[:rank], (1, 2, 1)[:rank], 2
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *(6, 7, 4)[:rank], 4)).astype(np.float32)
    kernel = rng.normal(size=(*(3, 2, 2)[:rank], 2, 6)).astype(np.float32)

    def theirs(x, kernel):
        # PyTorch lists the padding of the last axis first.
        sides = [side for pair in reversed(padding) for side in pair]
        x = functional.pad(x, sides, modes.get(boundary, boundary))
        kernel = kernel.movedim((-1, -2), (0, 1))
        apply = getattr(functional, f"conv{rank}d")
        return apply(x, kernel, None, strides, 0, dilation, groups)

    def ours(x, kernel):
        return conv(
            x,
            kernel,
            strides,
            padding,
            dilation=dilation,
            groups=groups,
            boundary=boundary,
            lowering=lowering,
        )

    _assert_equal(ours, theirs, x, kernel)


@pytest.mark.parametrize("size", [3, 4, 5])
def test_local_response_norm(size):
    _assert_equal(
        lambda x: local_response_norm(x, size=size, alpha=0.1, beta=0.75, k=2.0),
        lambda x: functional.local_response_norm(x, size, 0.1 * size, 0.75, 2.0),
        signed_map((2, 4, 3, 7)),
    )
