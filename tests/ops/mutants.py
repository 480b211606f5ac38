"""Small wrong pools, beside what is right: each must fail the law that it is here for.

Those that get a windowed reduction wrong differ from it in one place. The adaptive
polyphase mutants follow the published rule (Chaman and Dokmanic, 2021), which is right
for one image without ties.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import references

from cnnlab.ops import avg_pool, lp_pool, max_pool, stochastic_pool, windows
from cnnlab.ops.pool_definition import Traits, windowed
from cnnlab.ops.reductions import scaled, total, wide

MAX = Traits(selecting=True)
EXACT = Traits(local=False, channelwise=False, shift_exact=True)


class Mutant(NamedTuple):
    """A wrong pool, the law it breaks, and a right one that differs in one place."""

    law: str
    wrong: Callable
    right: Callable
    traits: Traits = Traits()
    reference: Callable | None = None


@windowed(fill=0.0, traits=MAX)
def padding_that_wins(taps):
    return functools.reduce(
        lambda best, tap: jnp.where((tap > best) | jnp.isnan(tap), tap, best), taps
    )


@windowed(fill=-math.inf, traits=MAX)
def ties_split(taps):
    return functools.reduce(jnp.maximum, taps)


def last_window_dropped(x, window_shape, strides=1, padding="VALID"):
    return max_pool(x, window_shape, strides, padding)[..., :-1, :]


@windowed()
def padding_counted(taps):
    return total(taps.map(wide)) / len(taps)


@windowed()
def sums_in_bfloat16(taps):
    return total(taps) / len(taps)


@windowed()
def root_without_a_guard(taps):
    scale, shares = scaled(taps.map(lambda tap: jnp.abs(wide(tap))))
    return scale * jnp.sqrt(total(shares.map(jnp.square)) / len(taps))


def _drawn(weigh, noise_of_window):
    """A stochastic pool that draws by `weigh(entry)`, with noise per window or entry.

    The Gumbel trick: the entry of the largest log weight plus noise is drawn.
    """

    def pool(x, window_shape, strides=1, padding="VALID", *, key=None):
        rank = 2 if isinstance(window_shape, int) else len(window_shape)
        spatial = x.shape[x.ndim - rank - 1 : -1]
        path = windows.geometry(spatial, window_shape, strides, padding)
        if key is None:
            return stochastic_pool(x, window_shape, strides, padding)
        entries = jnp.stack(windows.taps(x, path, 0).values)
        chances = jnp.stack(windows.taps(weigh(wide(x)), path, 0).values)
        if noise_of_window:
            noise = jax.random.gumbel(key, chances.shape)
        else:
            field = jax.random.gumbel(key, x.shape)
            noise = jnp.stack(windows.taps(field, path, 0).values)
        scores = jnp.where(chances > 0, jnp.log(jnp.maximum(chances, 1e-30)), -jnp.inf)
        drawn = jnp.argmax(scores + noise, axis=0)
        return jnp.take_along_axis(entries, drawn[None], 0)[0] + 0 * entries.sum(axis=0)

    return pool


def _adaptive_polyphase(choose):
    """Subsampling at the offset that `choose(scores, fingerprints)` picks."""

    def pool(x, window_shape, strides=1, padding="VALID", *, boundary="circular"):
        rank = 2 if isinstance(window_shape, int) else len(window_shape)
        spatial = x.shape[x.ndim - rank - 1 : -1]
        path = windows.geometry(spatial, window_shape, strides, padding, boundary)
        if rank != 2 or boundary != "circular":
            raise ValueError("two axes on a torus")
        keep = tuple(
            slice(0, n * s, s)
            for n, s in zip(path.output_shape, path.strides, strict=True)
        )
        images = x.reshape(-1, *x.shape[x.ndim - 3 :])
        rolled = _rolled(images)
        kept = rolled[..., keep[0], keep[1], :]
        scores = jnp.abs(wide(kept)).sum(axis=(2, 3, 4))
        chosen = choose(scores, _fingerprints(rolled))
        out = jnp.take_along_axis(kept, chosen[:, None, None, None, None], 1)[:, 0]
        return out.reshape(*x.shape[: x.ndim - 3], *out.shape[1:])

    return pool


def _rolled(images):
    """`[images, offsets, height, width, channels]`: images under every shift."""
    height, width = images.shape[1:3]
    down, right, row, column = np.ogrid[:height, :width, :height, :width]
    rolled = images[:, (row + down) % height, (column + right) % width]
    return rolled.reshape(len(images), height * width, *images.shape[1:])


def _fingerprints(rolled):
    """A number for each rolled image, by its content alone: sums of whole numbers."""
    bits = jax.lax.bitcast_convert_type(rolled.astype(jnp.float32), jnp.uint32)
    place = jnp.arange(bits[0, 0].size, dtype=jnp.uint32).reshape(bits.shape[2:])
    mixed = (bits ^ (bits >> 15)) * (2 * place + 1) * jnp.uint32(2654435761)
    return (mixed ^ (mixed >> 13)).sum(axis=(2, 3, 4), dtype=jnp.uint32)


def _by_content(scores, fingerprints):
    best = scores == scores.max(axis=1, keepdims=True)
    return jnp.argmax(jnp.where(best, fingerprints, 0), axis=1)


def _by_index(scores, fingerprints):
    return jnp.argmax(scores, axis=1)


def _for_the_batch(scores, fingerprints):
    together = scores.sum(axis=0, keepdims=True)
    return jnp.broadcast_to(_by_content(together, fingerprints[:1]), len(scores))


def _mean_of_the_map(x, window_shape, strides, padding, **options):
    options["count_include_pad"] = False
    return references.pool("avg_pool", x, window_shape, strides, padding, **options)


_stochastic = _drawn(lambda x: jnp.maximum(x, 0), noise_of_window=True)
_polyphase = _adaptive_polyphase(_by_content)

MUTANTS = {
    "uniform stochastic draw": Mutant(
        "draws_average_to_the_expectation",
        _drawn(jnp.ones_like, noise_of_window=True),
        _stochastic,
    ),
    "one draw shared by overlapping windows": Mutant(
        "draws_are_independent",
        _drawn(lambda x: jnp.maximum(x, 0), noise_of_window=False),
        _stochastic,
    ),
    "padding counted": Mutant(
        "equals_the_reference",
        padding_counted,
        functools.partial(avg_pool, count_include_pad=False),
        reference=_mean_of_the_map,
    ),
    "padding that wins": Mutant("padding_never_wins", padding_that_wins, max_pool, MAX),
    "ties split": Mutant("first_of_ties_takes_the_gradient", ties_split, max_pool, MAX),
    "Lp NaN gradient at 0": Mutant(
        "derivatives_are_finite_at_zeros", root_without_a_guard, lp_pool
    ),
    "last window dropped": Mutant(
        "takes_every_window", last_window_dropped, max_pool, MAX
    ),
    "sums in bfloat16": Mutant(
        "half_precision_is_rounded_once", sums_in_bfloat16, avg_pool
    ),
    "phase chosen per batch": Mutant(
        "nothing_is_shared_in_a_batch",
        _adaptive_polyphase(_for_the_batch),
        _polyphase,
        EXACT,
    ),
    "tie of phases broken by index": Mutant(
        "shifts_are_exact", _adaptive_polyphase(_by_index), _polyphase, EXACT
    ),
}
