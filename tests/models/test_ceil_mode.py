"""The padding of pools that count their windows as Caffe does."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.models.ceil_mode import ceil_padding
from cnnlab.ops import max_pool

GEOMETRIES = list(itertools.product(range(3, 9), (1, 2, 3), (1, 2, 3, 5)))


@pytest.mark.parametrize("n, size, stride", GEOMETRIES)
def test_as_few_windows_as_reach_every_entry(n, size, stride):
    ((low, high), _) = ceil_padding(jnp.zeros((1, n, n, 1)), size, stride)
    starts = range(0, n + high - size + 1, stride)
    assert low == 0
    # None starts beyond the map, and the next one would have nothing left to read.
    assert starts[-1] < n <= max(starts[-1] + size, starts[-1] + stride)
    assert high == max(starts[-1] + size - n, 0)
    if stride <= size:
        # Without the last window an entry would be left out.
        assert starts[-1] + size - stride < n <= starts[-1] + size


def test_axes_are_padded_each_for_itself():
    x = jnp.zeros((1, 112, 7, 1))
    assert ceil_padding(x, 3, 2) == ((0, 1), (0, 0))
    assert ceil_padding(x, (3, 2), (2, 2)) == ((0, 1), (0, 1))


def test_a_map_smaller_than_a_window_gets_one():
    assert ceil_padding(jnp.zeros((1, 1, 2, 1)), 3, 2) == ((0, 2), (0, 1))


@pytest.mark.peer
@pytest.mark.parametrize("n, size, stride", GEOMETRIES)
def test_pools_equal_those_of_pytorch(n, size, stride):
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).normal(size=(2, n, n + 1, 3))
    x = jnp.asarray(values, jnp.float32)
    got = max_pool(x, size, stride, ceil_padding(x, size, stride))
    channels_first = torch.tensor(values, dtype=torch.float32).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.max_pool2d(
        channels_first, size, stride, ceil_mode=True
    )
    np.testing.assert_array_equal(got, wanted.permute(0, 2, 3, 1))
