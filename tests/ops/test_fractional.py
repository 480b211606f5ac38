"""Fractional max pooling: where its regions start, and what is drawn."""

import collections
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
import scipy.stats
from geometries import CASES, signed_map
from references.fractional import fractional_starts, maxima

from cnnlab.ops import max_pool
from cnnlab.ops.fractional import fractional_max_pool

pytestmark = pytest.mark.usefixtures("quickly_compiled")

KEYS = jax.random.split(jax.random.key(0), 600)


def _starts(size, window, keys=KEYS, **options):
    """`[keys, regions]`: where the regions of an axis start, for every key.

    Of a ramp, each maximum is the last entry of its region.
    """
    ramp = jnp.arange(size, dtype=jnp.float32)[:, None]

    @jax.jit
    def draw(keys):
        return jax.vmap(
            lambda key: fractional_max_pool(ramp, (window,), key=key, **options)
        )(keys)

    return np.asarray(draw(keys))[..., 0].astype(int) - window + 1


@pytest.mark.parametrize("case", ["overlapping", "three_axes", "reflect"])
@pytest.mark.parametrize("ratio", [1, 1.7, 3])
def test_equals_the_reference_for_any_ratio(case, ratio):
    case = CASES[case]
    x = signed_map(case.shape)
    got = case.apply(fractional_max_pool, jnp.asarray(x), ratio=ratio)
    path = *case.arguments(), case.boundary
    wanted = references.pool("fractional_max_pool", x, *path, ratio=ratio)
    np.testing.assert_array_equal(got, wanted)


def test_ratio_may_differ_between_axes():
    x = signed_map((2, 9, 8, 3))
    got = fractional_max_pool(jnp.asarray(x), 2, ratio=(1.2, 2.5))
    assert got.shape == (2, 7, 3, 3)
    wanted = references.pool("fractional_max_pool", x, 2, ratio=(1.2, 2.5))
    np.testing.assert_array_equal(got, wanted)


def test_whole_ratios_can_be_the_strides_of_max_pooling():
    x = jnp.asarray(signed_map((2, 9, 6, 3)))
    # (9 - 3) / (3 - 1) = 3, and (6 - 2) / (3 - 1) = 2.
    got = fractional_max_pool(x, (3, 2), ratio=(3, 2))
    np.testing.assert_array_equal(got, max_pool(x, (3, 2), (3, 2)))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_map_of_few_entries_keeps_one_region_which_ends_at_its_edge(size):
    x = jnp.arange(1.0, size + 1)[:, None]
    np.testing.assert_array_equal(fractional_max_pool(x, (1,), ratio=9), x[-1:])


def test_strides_do_not_matter():
    x = jnp.asarray(signed_map((2, 7, 6, 3)))
    np.testing.assert_array_equal(
        fractional_max_pool(x, 2, 1), fractional_max_pool(x, 2, (2, 3))
    )


@pytest.mark.parametrize("pseudo_random", [True, False])
@pytest.mark.parametrize(
    ("size", "window", "ratio"), [(10, 2, 2**0.5), (13, 3, 1.7), (40, 5, 2.6)]
)
def test_regions_reach_from_edge_to_edge_in_steps_of_two_lengths(
    size, window, ratio, pseudo_random
):
    starts = _starts(size, window, KEYS[:50], ratio=ratio, pseudo_random=pseudo_random)
    assert starts.shape[1] == math.floor(size / ratio)
    assert np.all(starts[:, 0] == 0) and np.all(starts[:, -1] == size - window)
    alpha = (size - window) / (starts.shape[1] - 1)
    steps = np.diff(starts)
    assert set(steps.flat) <= {math.floor(alpha), math.ceil(alpha)}


def test_pseudo_random_starts_are_those_of_the_equation():
    size, window, count = 14, 3, 9
    span = size - window
    # The sequence changes only where alpha u passes a multiple of 1 / (count - 1).
    draws = [(2 * i + 1, 2 * span) for i in range(span)]
    wanted = collections.Counter(
        tuple(fractional_starts(span, count, Fraction(*u))) for u in draws
    )
    drawn = collections.Counter(map(tuple, _starts(size, window)))
    assert set(drawn) == set(wanted) and len(wanted) > 1
    order = list(wanted)
    law = np.array([wanted[starts] for starts in order]) / span
    counts = [drawn[starts] for starts in order]
    assert scipy.stats.chisquare(counts, len(KEYS) * law).pvalue > 0.01


def test_the_papers_ceiling_gives_the_same_starts():
    for span, count in (11, 9), (6, 5), (23, 9):
        alpha = Fraction(span, count - 1)
        for i in range(span):
            u = Fraction(2 * i + 1, 2 * span)
            ceilings = [math.ceil(alpha * (j + u)) for j in range(count)]
            from_zero = [start - ceilings[0] for start in ceilings]
            assert from_zero == fractional_starts(span, count, u)


def test_random_starts_are_every_order_of_the_steps_equally_often():
    # Six steps for a span of eight: two of length two, in 15 orders.
    drawn = collections.Counter(map(tuple, _starts(10, 2, pseudo_random=False)))
    assert len(drawn) == math.comb(6, 2)
    assert scipy.stats.chisquare(list(drawn.values())).pvalue > 0.01


@pytest.mark.parametrize("pseudo_random", [True, False])
def test_without_a_key_is_the_middle_of_the_draw(pseudo_random):
    wanted = fractional_starts(12, 9, Fraction(1, 2))
    ramp = jnp.arange(14.0)[:, None]
    got = fractional_max_pool(ramp, (2,), ratio=1.5, pseudo_random=pseudo_random)
    np.testing.assert_array_equal(got[:, 0], np.array(wanted) + 1)


@pytest.mark.parametrize("pseudo_random", [True, False])
def test_images_and_axes_draw_apart_and_channels_together(pseudo_random):
    # The entry at (i, j) is 100 i + j, so that each maximum tells both starts.
    plane = 100 * jnp.arange(20.0)[:, None] + jnp.arange(20.0)
    x = jnp.broadcast_to(plane[..., None], (2, 6, 20, 20, 2))
    out = fractional_max_pool(x, 2, pseudo_random=pseudo_random, key=KEYS[0])
    out = np.asarray(out).astype(int)
    np.testing.assert_array_equal(out[..., 0], out[..., 1])
    rows, columns = out[..., :, 0, 0] // 100 - 1, out[..., 0, :, 0] % 100 - 1
    images = {tuple(starts) for starts in rows.reshape(12, -1)}
    assert len(images) > 3
    assert np.any(rows != columns)
    grid = 100 * (rows[..., :, None] + 1) + columns[..., None, :] + 1
    np.testing.assert_array_equal(out[..., 0], grid)


def test_a_drawn_map_is_the_maxima_of_the_drawn_regions():
    x = signed_map((9, 3))
    batch = jnp.broadcast_to(x, (40, *x.shape))
    outs = fractional_max_pool(batch, (2,), key=KEYS[0])
    possible = [
        maxima(x, (2,), [fractional_starts(7, 6, Fraction(i, 7))], [(0, 0)], "zero")
        for i in range(7)
    ]
    seen = {next(i for i, p in enumerate(possible) if np.all(p == out)) for out in outs}
    assert len(seen) > 2


@pytest.mark.parametrize("key", [None, 0])
def test_the_first_of_equal_entries_takes_the_gradient(key):
    key = None if key is None else jax.random.key(key)

    def pooled(x):
        return fractional_max_pool(x, 2, key=key).sum()

    # With all entries equal, the first of each region is where the region starts.
    gradient = jax.grad(pooled)(jnp.ones((7, 7, 1)))
    assert gradient.sum() == 16 and set(np.unique(gradient)) == {0, 1}
    assert gradient[0, 0, 0] == 1 and gradient[5, 5, 0] == 1


@pytest.mark.parametrize("value", [-jnp.inf, jnp.nan])
def test_padding_never_wins(value):
    x = jnp.full((1, 4, 4, 1), value)
    out, pull = jax.vjp(lambda x: fractional_max_pool(x, 3, 1, "SAME"), x)
    np.testing.assert_array_equal(out, jnp.full(out.shape, value))
    assert pull(jnp.ones(out.shape))[0].sum() == out.size


def test_integer_maps():
    x = np.round(10 * signed_map((2, 6, 5, 2))).astype(np.int32) - 50
    got = fractional_max_pool(jnp.asarray(x), 3, 1, "SAME")
    assert got.dtype == jnp.int32
    wanted = references.pool("fractional_max_pool", x, 3, 1, "SAME")
    np.testing.assert_array_equal(got, wanted)


X = jnp.ones((2, 5, 4, 3))


@pytest.mark.parametrize(
    ("ratio", "error", "message"),
    [
        (0.5, ValueError, "ratio 0.5 must be finite and at least 1"),
        (math.inf, ValueError, "ratio inf must be finite and at least 1"),
        (math.nan, ValueError, "ratio nan must be finite and at least 1"),
        ((1.5, 0), ValueError, r"ratio \(1.5, 0\) must be finite and at least 1"),
        ((1.5,), ValueError, r"ratio \(1.5,\) has 1 entries for 2 spatial axes"),
        ("2", TypeError, "ratio takes numbers, got '2'"),
        (None, TypeError, "ratio takes numbers, got None"),
    ],
)
def test_bad_ratios(unchecked, ratio, error, message):
    with pytest.raises(error, match=message):
        fractional_max_pool(X, 2, ratio=ratio)
