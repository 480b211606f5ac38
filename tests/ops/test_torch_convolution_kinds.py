"""Where PyTorch has the kind of convolution, ours equals it: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.ops.im2col import im2col
from cnnlab.ops.separable_convolution import depthwise_conv
from cnnlab.ops.transposed_convolution import conv_transpose

torch = pytest.importorskip(
    "torch", reason="PyTorch (the extra `bench`) is not installed: no peer to compare"
)
functional = torch.nn.functional

pytestmark = pytest.mark.peer


def _assert_equal(ours, theirs, *arrays):
    """Values and gradients agree; the first array is the map, channels last in ours."""
    out, pull = jax.vjp(ours, *map(jnp.asarray, arrays))
    weights = np.cos(np.arange(out.size, dtype=np.float32)).reshape(out.shape)
    inputs = [torch.tensor(array, requires_grad=True) for array in arrays]
    other = theirs(inputs[0].movedim(-1, 1), *inputs[1:]).movedim(1, -1)
    other.backward(torch.tensor(weights))
    mine = out, *pull(jnp.asarray(weights))
    wanted = other.detach().numpy(), *(i.grad.numpy() for i in inputs)
    for got, want in zip(mine, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-5)


def _normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("more", [0, 1])
def test_conv_transpose(rank, groups, more):
    strides, padding, dilation = (2, 3, 2)[:rank], (1, 0, 2)[:rank], (1, 2, 1)[:rank]
    size, window = (4, 3, 2)[:rank], (3, 2, 3)[:rank]
    apply = getattr(functional, f"conv_transpose{rank}d")
    smallest = tuple(
        (n - 1) * s - 2 * p + d * (w - 1) + 1
        for n, s, p, d, w in zip(size, strides, padding, dilation, window, strict=True)
    )
    _assert_equal(
        lambda x, kernel: conv_transpose(
            x,
            kernel,
            strides,
            padding,
            dilation=dilation,
            groups=groups,
            output_shape=tuple(n + more for n in smallest) if more else None,
        ),
        lambda x, kernel: apply(
            x,
            kernel.movedim((-1, -2), (0, 1)),
            None,
            strides,
            padding,
            more,
            groups,
            dilation,
        ),
        _normal(2, *size, 4),
        _normal(*window, 6 // groups, 4),
    )


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_conv(rank, multiplier):
    strides, padding, dilation = (2, 1, 2)[:rank], (1, 0, 1)[:rank], (1, 2, 1)[:rank]
    apply = getattr(functional, f"conv{rank}d")
    _assert_equal(
        lambda x, kernel: depthwise_conv(
            x, kernel, strides, padding, dilation=dilation
        ),
        lambda x, kernel: apply(
            x,
            kernel.movedim((-1, -2), (0, 1)),
            None,
            strides,
            padding,
            dilation,
            3,
        ),
        _normal(2, *(6, 5, 4)[:rank], 3),
        _normal(*(3, 2, 2)[:rank], 1, 3 * multiplier),
    )


def test_im2col():
    path = dict(dilation=(1, 2), padding=(1, 0))
    window, strides = (3, 2), (2, 1)

    def theirs(x):
        # [batch, channels * taps, positions], channels first.
        columns = functional.unfold(x, window, stride=strides, **path)
        columns = columns.reshape(2, 3, 6, 3, 3).movedim(1, 2)
        return columns.reshape(2, 18, 3, 3)

    _assert_equal(
        lambda x: im2col(x, window, strides, **path), theirs, _normal(2, 6, 5, 3)
    )
