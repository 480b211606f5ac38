"""Fractional max pooling equals PyTorch's: values, gradients and all that is drawn."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from geometries import signed_map

from cnnlab.ops.fractional import fractional_max_pool

torch = pytest.importorskip(
    "torch", reason="PyTorch (the extra `bench`) is not installed: no peer to compare"
)

pytestmark = pytest.mark.peer


def _theirs(x, window, output_size, samples):
    """PyTorch's pool for one u per axis, given first axis first."""
    rank = len(window)
    # Theirs lists the last axis first.
    samples = torch.tensor(samples[::-1], dtype=x.dtype)
    return getattr(torch.nn.functional, f"fractional_max_pool{rank}d")(
        x.movedim(-1, 1),
        window,
        output_size,
        _random_samples=samples.expand(x.shape[0], x.shape[-1], rank),
    ).movedim(1, -1)


@pytest.mark.parametrize(
    ("shape", "window", "ratio"),
    [
        ((9, 8), (2, 2), 2**0.5),
        ((11, 7), (3, 2), 1.5),
        ((10, 12), (2, 3), 2.5),
        ((7, 6, 8), (2, 2, 3), 1.5),
    ],
)
def test_without_a_key_is_their_sample_of_one_half(shape, window, ratio):
    x = signed_map((2, *shape, 3))
    out, pull = jax.vjp(
        lambda x: fractional_max_pool(x, window, ratio=ratio), jnp.asarray(x)
    )
    weights = np.cos(np.arange(out.size, dtype=np.float32)).reshape(out.shape)
    leaf = torch.tensor(x, requires_grad=True)
    sizes = tuple(int(n / ratio) for n in shape)
    wanted = _theirs(leaf, window, sizes, (0.5,) * len(shape))
    np.testing.assert_array_equal(out, wanted.detach())
    wanted.backward(torch.tensor(weights))
    gradient = pull(jnp.asarray(weights))[0]
    np.testing.assert_allclose(gradient, leaf.grad, rtol=1e-6, atol=1e-6)


def test_draws_are_theirs():
    x = signed_map((1, 9, 8, 2))
    keys = jax.random.split(jax.random.key(0), 400)
    ours = jax.vmap(lambda key: fractional_max_pool(jnp.asarray(x), 2, key=key))(keys)
    # Each axis's regions change where u passes a multiple of 1 / (size - window).
    samples = itertools.product(
        *([(i + 0.5) / (n - 2) for i in range(n - 2)] for n in (9, 8))
    )
    theirs = [_theirs(torch.tensor(x), (2, 2), (6, 5), u).numpy() for u in samples]
    drawn = {out.tobytes() for out in np.asarray(ours)}
    assert drawn == {out.tobytes() for out in theirs} and len(drawn) > 5
