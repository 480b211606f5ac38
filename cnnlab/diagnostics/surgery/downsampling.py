"""What each place where a function thins its maps contributes to a score of it."""

from collections.abc import Callable, Collection
from typing import Any

import jax

from cnnlab.diagnostics.surgery.operators import Operator
from cnnlab.diagnostics.surgery.shapley import Effects, effects
from cnnlab.diagnostics.surgery.swapping import no_sites, sites, swap_downsampling
from cnnlab.diagnostics.surgery.together import Groups


def downsampling_effects(
    fn: Callable,
    operator: Operator,
    score: Callable[[Callable], Any],
    *args,
    among: Collection[int] | None = None,
    together: Groups = (),
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
        args: arguments of `fn`, trees of arrays or of `jax.ShapeDtypeStruct`s.
        among: the indices of the sites to swap; None is all that can be.
        together: groups of sites, each of which is swapped as one and is one row of
            the effects, a tuple; they share choices as in `swap_downsampling`.
        after: as in `swap_downsampling`.
        permutations, seed: as in `effects`.

    Raises:
        ValueError: an unknown operator, an index that cannot be swapped, no sites; and
            as in `effects`.
        TypeError: JAX cannot trace `fn`.
    """
    found = sites(fn, *args)
    if not found:
        raise ValueError(no_sites(fn))
    if among is None:
        among = [site.index for site in found if site.obstacle is None]

    grouped = [index for group in together for index in group]
    units = [(index,) for index in among if index not in grouped]
    units = sorted([*units, *map(tuple, together)])

    def swapped(chosen: Collection[tuple[int, ...]]) -> Callable:
        choice = {index: operator for unit in chosen for index in unit}
        groups = [unit for unit in chosen if len(unit) > 1]
        return jax.jit(swap_downsampling(fn, choice, after=after, together=groups))

    # All at once: what one of them refuses is told before anything is computed.
    jax.eval_shape(swapped(units), *args)
    return effects(
        lambda chosen: score(swapped([_unit(one) for one in chosen])),
        [unit if len(unit) > 1 else unit[0] for unit in units],
        permutations=permutations,
        seed=seed,
    )


def _unit(chosen: int | tuple[int, ...]) -> tuple[int, ...]:
    return chosen if isinstance(chosen, tuple) else (chosen,)
