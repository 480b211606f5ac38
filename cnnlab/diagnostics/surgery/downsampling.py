"""What each place where a function thins its maps contributes to a score of it."""

from collections.abc import Callable, Collection
from typing import Any

import jax

from cnnlab.diagnostics.surgery.operators import Operator
from cnnlab.diagnostics.surgery.shapley import Effects, effects
from cnnlab.diagnostics.surgery.swapping import sites, swap_downsampling


def downsampling_effects(
    fn: Callable,
    operator: Operator,
    score: Callable[[Callable], Any],
    *args,
    among: Collection[int] | None = None,
    after: str = "activation",
    permutations: int | None = None,
    seed: int | None = None,
) -> Effects:
    """What `operator` at each site of `fn` contributes to a score, such as consistency.

    Each set of sites makes one function, which is compiled once (for each shape that
    `score` calls it with) and dropped after it has been scored. Sites are counted for
    `args`: a score that calls the function with maps of other sizes must find the same.

    Args:
        operator: a spec or a function, as in `swap_downsampling`.
        score: of a function like `fn`: a number, or an array with one for each image.
        args: arguments of `fn`, or `jax.ShapeDtypeStruct`s in their place.
        among: the indices of the sites to swap; None is all that can be.
        after: as in `swap_downsampling`.
        permutations, seed: as in `effects`.

    Raises:
        ValueError: an unknown operator, an index that cannot be swapped, no sites; and
            as in `effects`.
        TypeError: JAX cannot trace `fn`.
    """
    found = sites(fn, *args)
    if not found:
        raise ValueError("fn has no sites: nothing in it thins a map")
    if among is None:
        among = [site.index for site in found if site.obstacle is None]

    def swapped(chosen: Collection[int]) -> Callable:
        choice = dict.fromkeys(chosen, operator)
        return jax.jit(swap_downsampling(fn, choice, after=after))

    # All at once: what one of them refuses is told before anything is computed.
    jax.eval_shape(swapped(among), *args)
    return effects(
        lambda chosen: score(swapped(chosen)),
        tuple(among),
        permutations=permutations,
        seed=seed,
    )
