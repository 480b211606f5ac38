"""Where PyTorch can write the operator, ours equals it: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from geometries import signed_map

from cnnlab.ops.antialiasing import blur_pool
from cnnlab.ops.space_to_depth import space_to_depth

torch = pytest.importorskip(
    "torch", reason="PyTorch (the extra `bench`) is not installed: no peer to compare"
)
functional = torch.nn.functional

pytestmark = pytest.mark.peer


def _assert_equal(ours, theirs, x):
    """Values and gradients; `theirs` takes and gives its channels first."""
    out, pull = jax.vjp(ours, jnp.asarray(x))
    weights = np.cos(np.arange(out.size, dtype=np.float32)).reshape(out.shape)
    leaf = torch.tensor(x, requires_grad=True)
    other = theirs(leaf.movedim(-1, 1)).movedim(1, -1)
    other.backward(torch.tensor(weights))
    np.testing.assert_allclose(out, other.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(
        *pull(jnp.asarray(weights)), leaf.grad.numpy(), atol=1e-5
    )


@pytest.mark.parametrize("row", [[1, 1], [1, 2, 1], [1, 4, 6, 4, 1]], ids=len)
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize(("boundary", "mode"), [("reflect",) * 2, ("zero", "constant")])
def test_blur_pool_is_a_depthwise_convolution(row, strides, boundary, mode):
    low, high = (len(row) - 1) // 2, len(row) // 2
    kernel = torch.tensor(np.outer(row, row) / sum(row) ** 2, dtype=torch.float32)

    def theirs(x):
        x = functional.pad(x, (low, high, low, high), mode)
        return functional.conv2d(
            x, kernel.expand(x.shape[1], 1, -1, -1), None, strides, groups=x.shape[1]
        )

    def ours(x):
        pairs = ((low, high), (low, high))
        return blur_pool(x, len(row), strides, pairs, boundary=boundary)

    _assert_equal(ours, theirs, signed_map((2, 7, 6, 3)))


@pytest.mark.parametrize("block", [2, 3])
def test_space_to_depth_is_pixel_unshuffle_in_another_order(block):
    def theirs(x):
        deep = functional.pixel_unshuffle(x, block).unflatten(1, (x.shape[1], -1))
        return deep.transpose(1, 2).flatten(1, 2)

    _assert_equal(lambda x: space_to_depth(x, block), theirs, signed_map((2, 6, 12, 3)))
