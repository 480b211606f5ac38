"""Max and average pooling give what Flax gives, wherever Flax accepts the call."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from geometries import Case, signed_map

from cnnlab.ops import avg_pool, max_pool

CASES = {
    "overlapping": Case((2, 7, 6, 3), (3, 3), (2, 2), "SAME"),
    "gaps": Case((2, 9, 8, 2), (2, 2), (3, 4)),
    "unstrided": Case((1, 5, 4, 2), (2, 3), (1, 1)),
    "asymmetric": Case((2, 6, 5, 2), (3, 2), (2, 1), ((2, 0), (0, 1))),
    "one_axis": Case((2, 9, 3), (3,), (2,), "SAME"),
    "three_axes": Case((1, 3, 4, 5, 2), (2, 2, 2), (2, 1, 2), "SAME"),
    "three_batch_axes": Case((2, 1, 2, 4, 4, 2), (2, 2), (2, 2)),
    "no_batch": Case((5, 5, 2), (2, 2), (2, 2)),
}
SAME_AS = {
    "max": (max_pool, nn.max_pool, {}),
    "average": (avg_pool, nn.avg_pool, {}),
    "average_of_the_map": (avg_pool, nn.avg_pool, {"count_include_pad": False}),
}


# What is counted shows only where there is padding, as in most of these.
PAIRS = [("max", case) for case in CASES]
PAIRS += [("average", case) for case in CASES]
PAIRS += [("average_of_the_map", case) for case in ("overlapping", "asymmetric")]


@pytest.mark.parametrize(("pair", "case"), PAIRS)
def test_values_and_gradients_equal_flax(pair, case):
    ours, theirs, options = SAME_AS[pair]
    case = CASES[case]
    # Rounding to a tenth makes ties in most windows.
    x = jnp.asarray(signed_map(case.shape))

    def both(pool):
        def pooled(x):
            return pool(x, *case.arguments(), **options)

        @jax.jit
        def value_and_gradient(x):
            out, pull = jax.vjp(pooled, x)
            weights = jnp.arange(1, out.size + 1, dtype=out.dtype)
            return out, pull(weights.reshape(out.shape))[0]

        return value_and_gradient(x)

    for got, wanted in zip(both(ours), both(theirs), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
