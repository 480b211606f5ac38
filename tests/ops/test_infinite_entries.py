"""What every pool makes of a window that holds an infinity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.ops import pools

INF, NAN = np.inf, np.nan
# Other entries beside a +inf, beside a -inf, and beside both.
WINDOWS = (1, INF, 2, 3), (1, -INF, 2, 3), (INF, -INF, 1, 2)

# What selects by size or weighs by exponentials passes over what is infinitely small,
# and a mean does not.
SELECTS = INF, 3, INF
AVERAGES = INF, -INF, NAN
OTHERS = jax.nn.softmax(np.array([1.0, 2, 3]))
SEEN = {
    "max_pool": SELECTS,
    "max_blur_pool": SELECTS,
    "fractional_max_pool": SELECTS,
    "adaptive_polyphase": SELECTS,
    "learned_polyphase": SELECTS,
    "min_pool": (1, -INF, -INF),
    "median_pool": (2.5, 1.5, 1.5),
    "soft_pool": (INF, OTHERS @ np.array([1, 2, 3]), INF),
    "log_sum_exp_pool": (INF, np.log(np.exp([1, 2, 3]).sum() / 4), INF),
    "avg_pool": AVERAGES,
    "blur_pool": AVERAGES,
    "avg_blur_pool": AVERAGES,
    "spectral_pool": AVERAGES,
    "mixed_pool": AVERAGES,
    "lip_pool": AVERAGES,
    "lp_pool": (INF, INF, INF),
    "l2_pool": (INF, INF, INF),
    # -inf counts as 0; nothing can be drawn beside +inf.
    "stochastic_pool": (NAN, 14 / 6, NAN),
    # Its gate is sigmoid(0 * infinity).
    "gated_pool": (NAN, NAN, NAN),
    "adaptive_blur_pool": (NAN, NAN, NAN),
}


def _pooled(name, window, **options):
    x = jnp.asarray(window, jnp.float32).reshape(2, 2, 1)
    return pools[name](x, 2, 2, **options).item()


@pytest.mark.parametrize("name", pools)
def test_windows_with_an_infinity(name):
    assert name in SEEN, f"{name} has no row for infinities here"
    got = [_pooled(name, window) for window in WINDOWS]
    np.testing.assert_allclose(got, SEEN[name], rtol=1e-6)


@pytest.mark.parametrize("alpha", [0, 1])
def test_no_share_of_an_infinity_is_not_a_number(alpha):
    assert np.isnan(_pooled("mixed_pool", WINDOWS[0], alpha=alpha))


@pytest.mark.parametrize("weight", [-1, 0, 1])
def test_a_gate_closes_on_minus_infinity_alone(weight):
    got = [_pooled("gated_pool", w, gating_mask=weight) for w in WINDOWS]
    wanted = [NAN, -INF if weight == 1 else NAN, NAN]
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", ["lp_pool", "l2_pool"])
def test_the_norm_of_infinity_has_no_gradient_there(name):
    gradient = jax.grad(lambda x: pools[name](x, (4,)).sum())
    got = gradient(jnp.asarray(WINDOWS[0], jnp.float32)[:, None])
    np.testing.assert_array_equal(got.ravel(), [0, NAN, 0, 0])


def test_infinity_has_no_logit_in_channels_that_do_not_see_it():
    x = jnp.ones((2, 2, 2)).at[0, 0, 0].set(INF)
    own, other = pools["lip_pool"](x, 2).ravel()
    assert own == INF and np.isnan(other)
    seen = pools["lip_pool"](x, 2, projection=jnp.ones((2, 2))).ravel()
    np.testing.assert_array_equal(seen, [INF, 1])
    assert np.all(np.isnan(pools["adaptive_blur_pool"](x, 2)))
