"""Any function, with other operators where it thins its maps."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from cnnlab.diagnostics.surgery.finding import find_cuts
from cnnlab.diagnostics.surgery.operators import Choice, check_choice, choose_operators
from cnnlab.diagnostics.surgery.pending import settled
from cnnlab.diagnostics.surgery.rewriting import Swaps, compute
from cnnlab.diagnostics.surgery.site import Site
from cnnlab.diagnostics.surgery.together import Groups, share_choices
from cnnlab.diagnostics.tracing import name_of, traced

AFTER = ("activation", "convolution")
_ARRAYS = (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct)


def sites(fn: Callable, *args, **kwargs) -> tuple[Site, ...]:
    """Every place where `fn` thins a map, in the order they run.

    They are read from the traced program: pools (also sums over windows that are
    divided by their number of entries, all or real ones), convolutions and slices, each
    with strides above 1, and cnnlab's operators. Calls are opened, and so are loops and
    branches; what no result needs is left out. Of pools and slices the axes that have
    windows or strides are the spatial ones; a lone first axis is a batch, and a lone
    last one holds channels (in a pool's [batch, channels, width] it does not). Not
    found are a mean after a reshape, a gather, and what is thinned in Fourier space.

    Args:
        args, kwargs: the function's own; arrays, or `jax.ShapeDtypeStruct`s for them.
            Nothing is computed.

    Raises:
        TypeError: JAX cannot trace `fn`.
    """
    program, _, _ = _traced(fn, args, kwargs)
    return tuple(cut.site for cut in find_cuts(program))


def swap_downsampling(
    fn: Callable,
    choice: Choice,
    *,
    after: str = "activation",
    together: Groups = (),
) -> Callable:
    """`fn` with other operators where it thins its maps; its arguments stay the same.

    A pool is replaced by the operator, with the same windows, strides and padding. A
    convolution runs at stride 1, and a slice keeps every entry; the operator then thins
    the map, with windows as large as the strides (or of the spec's `window_shape`, as
    in "blur_pool(window_shape=3)"), padded to begin as often as the strides do. Maps
    are transposed to [*batch, *spatial, channels] around it. An operator that learns or
    draws uses its initial weights and its expectation.

    Each call traces `fn` for the shapes it is given, so put `jax.jit` around the
    result; `jax.grad` and `jax.vmap` of it work too. Leaves of the arguments that are
    no arrays are constants. Calls without a swapped site are bound as they are, so that
    their derivatives stay what they were; those around one are opened, and a custom
    derivative of theirs is lost (remat stays).

    Args:
        choice: a spec or a function `(x, window_shape, strides, padding) -> y` for
            all sites; or a mapping from a site's index, or a function of a `Site`,
            to one of these (None: it stays). Indices are those of `sites`, for
            arguments of the shapes of the call.
        after: where a convolution's operator stands. "activation": after the bias,
            normalisation and activation that follow entry by entry, as long as each
            result is used once, as `downsample=` of a model does and Zhang (2019);
            "convolution": right after it.
        together: groups of sites whose maps meet again, as the branch and the shortcut
            of a residual block: "adaptive_polyphase(pool=None)" keeps at all of a group
            the samples that it chose at the first of them to run. Elsewhere it chooses
            at each site anew.

    Raises:
        ValueError: an unknown operator, option or `after`; and when called: no sites,
            an unknown index, a site that stays as it is, a group that cannot share a
            choice, or an operator that refuses a map or gives another shape.
        TypeError: what is no operator, or needs more than a map and windows; and when
            called: JAX cannot trace `fn`.

    Source: Zhang, 2019, "Making convolutional networks shift-invariant again",
    https://arxiv.org/abs/1904.11486, whose surgery this makes on any function.
    """
    if after not in AFTER:
        raise ValueError(f"unknown after {after!r}; choose from {', '.join(AFTER)}")
    check_choice(choice)

    def swapped(*args, **kwargs):
        program, arrays, structure = _traced(fn, args, kwargs)
        cuts = find_cuts(program)
        if not cuts:
            raise ValueError(no_sites(fn))
        chosen = share_choices(choose_operators(choice, cuts), cuts, together)
        made = {cuts[i].location: (cuts[i], one) for i, one in chosen.items()}
        swaps = Swaps(made, late=after == "activation")
        outputs = map(settled, compute(program, arrays, swaps))
        return jax.tree.unflatten(structure, outputs)

    return swapped


def no_sites(fn: Callable) -> str:
    """What is said of a function that thins no map."""
    return f"{name_of(fn)} has no sites: nothing in it thins a map"


def _traced(fn: Callable, args, kwargs) -> tuple[ClosedJaxpr, list[Any], Any]:
    """The program of `fn`, the arrays it takes, and the structure of its result."""
    leaves, structure = jax.tree.flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, _ARRAYS)]
    arrays = [leaves[i] for i in places]

    def of_arrays(*arrays):
        given = list(leaves)
        for place, array in zip(places, arrays, strict=True):
            given[place] = array
        args, kwargs = jax.tree.unflatten(structure, given)
        return fn(*args, **kwargs)

    program, result = traced(of_arrays, *arrays, name=name_of(fn))
    return program, arrays, jax.tree.structure(result)
