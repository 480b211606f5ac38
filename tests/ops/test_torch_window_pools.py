"""Where PyTorch has one of these pools, ours equals it: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from geometries import signed_map, smooth_map

from cnnlab.ops import l2_pool, log_sum_exp_pool, lp_pool, median_pool, min_pool

torch = pytest.importorskip(
    "torch", reason="PyTorch (the extra `bench`) is not installed: no peer to compare"
)
functional = torch.nn.functional

pytestmark = pytest.mark.peer

# (a map's spatial shape, window_shape, strides, padding)
POOLS = [
    ((9,), (3,), (2,), 1),
    ((7, 6), (3, 3), (2, 2), 1),
    ((9, 8), (2, 2), (3, 4), 0),
    ((6, 5), (3, 2), (2, 1), (1, 0)),
    ((4, 5, 6), (2, 3, 2), (2, 1, 2), (1, 1, 0)),
]
PLANES = [case for case in POOLS if len(case[0]) == 2]


def _assert_equal(ours, theirs, x):
    """Ours and theirs agree on `x`; theirs takes its channels second."""
    out, pull = jax.vjp(ours, jnp.asarray(x))
    weights = np.cos(np.arange(out.size, dtype=np.float32)).reshape(out.shape)
    there = torch.tensor(x, requires_grad=True)
    other = theirs(there.movedim(-1, 1)).movedim(1, -1)
    other.backward(torch.tensor(weights))
    np.testing.assert_allclose(out, other.detach().numpy(), rtol=1e-5, atol=1e-5)
    (gradient,) = pull(jnp.asarray(weights))
    np.testing.assert_allclose(gradient, there.grad.numpy(), rtol=1e-4, atol=1e-5)


def _windows(x, window, strides, padding, fill):
    """`[batch, channels, taps, height, width]` of a padded plane."""
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    x = functional.pad(x, (columns, columns, rows, rows), value=fill)
    for axis, (size, step) in enumerate(zip(window, strides, strict=True), 2):
        x = x.unfold(axis, size, step)
    return x.flatten(-2).movedim(-1, 2)


@pytest.mark.parametrize("case", POOLS)
def test_min_pool(case):
    shape, window, strides, padding = case
    pool = getattr(functional, f"max_pool{len(shape)}d")
    for values in (), (np.nan, np.inf, -np.inf):
        x = signed_map((2, *shape, 3))
        x.ravel()[: len(values) * 3 : 3] = values
        _assert_equal(
            lambda x: min_pool(x, window, strides, padding),
            lambda x: -pool(-x, window, strides, padding),
            x,
        )


@pytest.mark.parametrize("case", [c for c in POOLS if not np.any(c[3])])
def test_l2_pool(case):
    shape, window, strides, _ = case
    pool = getattr(functional, f"lp_pool{len(shape)}d")
    x = smooth_map((2, *shape, 3)).astype(np.float32)
    for ours in l2_pool, lp_pool:
        _assert_equal(
            lambda x, ours=ours: ours(x, window, strides, normalize=False),
            lambda x: pool(x, 2, window, strides),
            x,
        )


@pytest.mark.parametrize("window", [(3, 3), (1, 5), (2, 2), (3, 2)])
def test_median_pool(window):
    def middle(x):
        taps = _windows(x, window, (2, 1), 0, 0.0)
        if np.prod(window) % 2:
            # Where PyTorch has one median, its own; it takes the lower of two.
            return taps.median(dim=2).values
        return torch.quantile(taps, 0.5, dim=2, interpolation="midpoint")

    x = smooth_map((2, 7, 6, 3)).astype(np.float32)
    _assert_equal(lambda x: median_pool(x, window, (2, 1)), middle, x)


@pytest.mark.parametrize("case", PLANES)
@pytest.mark.parametrize("r", [0.5, 4.0])
def test_log_sum_exp_pool(case, r):
    _, window, strides, padding = case

    def theirs(x):
        taps = _windows(x, window, strides, padding, -np.inf)
        return torch.logsumexp(r * taps, dim=2) / r

    _assert_equal(
        lambda x: log_sum_exp_pool(x, window, strides, padding, r=r, normalize=False),
        theirs,
        signed_map((2, *case[0], 3)),
    )
