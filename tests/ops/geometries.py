"""The windows that every pool is held to, and the ways in which it is called."""

import functools
import inspect
from typing import NamedTuple

import jax
import numpy as np
import pytest
import references

from cnnlab.ops import pools
from cnnlab.ops.registry import takes


class Case(NamedTuple):
    """A map's shape and a window's path over it."""

    shape: tuple[int, ...]
    window_shape: int | tuple[int, ...]
    strides: int | tuple[int, ...] = 1
    padding: str | int | tuple = "VALID"
    boundary: str = "zero"

    def arguments(self):
        """What follows the map in a call."""
        return self.window_shape, self.strides, self.padding

    def apply(self, pool, x, **options):
        """`pool` over `x` along this path."""
        if self.boundary != "zero":
            options["boundary"] = self.boundary
        return pool(x, *self.arguments(), **options)


CASES = {
    "overlapping": Case((2, 7, 6, 3), (3, 3), (2, 2), "SAME"),
    "gaps": Case((2, 9, 8, 2), (2, 2), (3, 4)),
    "defaults": Case((1, 5, 4, 2), 2),
    "asymmetric": Case((2, 6, 5, 2), (3, 2), (2, 1), ((2, 0), (0, 1))),
    "full": Case((1, 4, 3, 2), (3, 3), (1, 2), "FULL"),
    "circular": Case((1, 5, 6, 2), (3, 3), 2, ((1, 2), (2, 1)), "circular"),
    "reflect": Case((1, 5, 6, 2), (3, 3), 2, ((1, 2), (2, 1)), "reflect"),
    "edge": Case((1, 5, 6, 2), (3, 3), 2, ((1, 2), (2, 1)), "edge"),
    "one_axis": Case((2, 9, 3), (3,), (2,), 1),
    "three_axes": Case((1, 3, 4, 5, 2), (2, 2, 2), (2, 1, 2), "SAME"),
    "one_pixel": Case((1, 1, 1, 3), (3, 3), 2, "SAME"),
    "one_pixel_reflected": Case((1, 1, 1, 3), (3, 3), 2, "SAME", "reflect"),
    "no_batch": Case((5, 5, 2), (2, 3), 2, 1),
    "three_batch_axes": Case((2, 1, 2, 4, 4, 2), 2, 2),
}

# Where an option changes anything, it does so in how padding is counted.
PADDED = ("asymmetric", "full", "circular", "three_axes")

# The one path on which laws that hold for any are tried: overlap, padding, odd sizes.
TRIAL = Case((2, 5, 4, 2), (3, 2), (2, 1), "SAME")

# Options beyond the defaults, for the pools that have any.
SPECS = (
    "adaptive_blur_pool(count_include_pad=False)",
    "avg_blur_pool(filter_size=4, count_include_pad=False)",
    "blur_pool(count_include_pad=False)",
    "max_blur_pool(filter_size=2)",
    "avg_pool(count_include_pad=False)",
    "lp_pool(p=1)",
    "lp_pool(p=1.5, count_include_pad=False)",
    "lp_pool(p=3.0, normalize=False)",
    "l2_pool(count_include_pad=False)",
    "l2_pool(normalize=False)",
    "soft_pool(beta=0.1)",
    "soft_pool(beta=3.0)",
    "log_sum_exp_pool(r=0.1)",
    "log_sum_exp_pool(r=4.0)",
    "log_sum_exp_pool(normalize=False)",
    "mixed_pool(alpha=0.25, count_include_pad=False)",
    "gated_pool(gating_mask=0.5)",
    "gated_pool(gating_mask=-1, count_include_pad=False)",
    "fractional_max_pool(ratio=1.8)",
    "fractional_max_pool(ratio=1.2, pseudo_random=False)",
    "lip_pool(projection=0.5, bias=-1)",
)


def modes(trait=None):
    """Every registered pool (of a trait), and with a fixed draw where it draws.

    As test parameters, each a function (map, window_shape, ...) -> map.
    """
    for name, pool in pools.items():
        if trait is not None and not getattr(pool.traits, trait):
            continue
        yield pytest.param(pool, id=name)
        if takes(pool, "key"):
            drawn = functools.partial(pool, key=jax.random.key(3))
            yield pytest.param(drawn, id=f"{name} drawn")


def has_reference(name):
    """Whether `name` has a NumPy reference that takes the pool's options."""
    known = references.POOLS | references.MAPS
    if name not in known:
        return False
    ours = inspect.signature(pools[name]).parameters
    theirs = inspect.signature(known[name]).parameters
    options = {p for p in ours if ours[p].kind == inspect.Parameter.KEYWORD_ONLY}
    return options - {"key", "boundary"} <= set(theirs)


def smooth_map(shape, seed=0, low=0.25, high=4.0):
    """A positive float64 map without two equal entries, in a random order."""
    count = int(np.prod(shape))
    values = np.linspace(low, high, count)
    return np.random.default_rng(seed).permutation(values).reshape(shape)


def signed_map(shape, seed=0):
    """A map with entries of both signs, exact zeros and ties."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return np.where(rng.random(shape) < 0.2, 0, np.round(x, 1)).astype(np.float32)
