"""A function whose samples follow the image, at sites that can be switched."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool

from cnnlab.diagnostics.surgery.operators import Operator
from cnnlab.diagnostics.surgery.site import Site
from cnnlab.diagnostics.surgery.swapping import sites, swap_downsampling
from cnnlab.ops import polyphase_choice, polyphase_downsample, pools
from cnnlab.ops.registry import takes

# At stride 1 they give no map of which the strides keep entries.
_RESAMPLE = ("spectral_pool", "adaptive_polyphase", "learned_polyphase")


class Following:
    """`function` with a switch at each of its sites; one program for all settings.

    Where a switch is on, the site's own operator runs at stride 1 on a torus, and the
    offset of its samples is chosen as `adaptive_polyphase` does, so that they follow
    the map. Where it is off, the site is as it was. No weight changes.

    Attributes:
        sites: those with one switch, in the order in which they run. Several run side
            by side, thinning maps of one size to one other, as the branch and the
            shortcut of a residual block: they keep the samples that the first of them
            chose. Left out are unknown operators, those that choose or mix their
            samples, and pools that run beside other sites.
    """

    def __init__(self, function: Callable, *args):
        """Reads the sites from the traced program; nothing is computed.

        Args:
            args: the function's own; arrays, or `jax.ShapeDtypeStruct`s for them.

        Raises:
            ValueError: an operator that refuses its map at stride 1.
            TypeError: JAX cannot trace `function`.
        """
        self.sites = _units(sites(function, *args))

        def switched(switches, *args):
            if not self.sites:
                return function(*args)
            operators: dict[int, Operator] = {}
            for switch, unit in zip(switches, self.sites, strict=True):
                shared = _Shared()
                for site in unit:
                    operators[site.index] = _switched(site, switch, shared)
            return swap_downsampling(function, operators)(*args)

        self._switched = jax.jit(switched)
        switches = jax.ShapeDtypeStruct((len(self.sites),), bool)
        # What an operator refuses is told before anything is computed.
        jax.eval_shape(self._switched, switches, *args)

    def __call__(self, switches: Sequence[bool] | Bool[Array, " sites"], *args) -> Any:
        """The function's result with these switches, one for each of `sites`."""
        return self._switched(jnp.asarray(switches, bool), *args)


class _Shared:
    """The offsets that the first of some sites chose."""

    choice: Array | None = None


def _units(found: Sequence[Site]) -> tuple[tuple[Site, ...], ...]:
    beside: dict[tuple, list[Site]] = {}
    for site in found:
        sides = ((site.input_shape[a], site.output_shape[a]) for a in site.axes)
        beside.setdefault(tuple(sides), []).append(site)
    return tuple(tuple(unit) for unit in beside.values() if _can_follow(unit))


def _can_follow(unit: Sequence[Site]) -> bool:
    if any(site.itself is None or site.operator in _RESAMPLE for site in unit):
        return False
    alone = len(unit) == 1
    return alone or not any(site.kind == "pool" or site.in_loop for site in unit)


def _switched(site: Site, switch: Array, shared: _Shared) -> Operator:
    def operator(x, window_shape, strides, padding):
        still, dense = _both(site, x, window_shape, strides, padding)
        rank = len(strides)
        kept = still.shape[-1 - rank : -1]
        if shared.choice is None:
            shared.choice = polyphase_choice(dense, strides, kept)
        followed = polyphase_downsample(dense, shared.choice, strides, kept)
        return jnp.where(switch, followed, still)

    return operator


def _both(site: Site, x, window_shape, strides, padding) -> tuple[Array, Array]:
    """The site's result as it was, and the map whose samples follow."""
    if site.kind != "pool":
        return x[(..., *(slice(None, None, step) for step in strides), slice(None))], x
    pool = pools.resolve(site.itself)
    own = {"boundary": site.boundary} if takes(pool, "boundary") else {}
    still = pool(x, window_shape, strides, padding, **own)
    return still, pool(x, window_shape, 1, "SAME", boundary="circular")
