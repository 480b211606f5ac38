"""What the lattice of samples at each site of a network costs in consistency."""

import dataclasses
from collections.abc import Callable

import jax

from cnnlab.diagnostics.over_images import floating
from cnnlab.diagnostics.predictions import checked_images
from cnnlab.diagnostics.shifts.consistency import consistency
from cnnlab.diagnostics.specs import spec_of
from cnnlab.diagnostics.surgery.following import Following
from cnnlab.diagnostics.surgery.shapley import Effects, effects
from cnnlab.diagnostics.surgery.site import Site

SHIFT = "shift(circular, 0..3, all pairs, per image)"


@dataclasses.dataclass(frozen=True, eq=False)
class SamplingEffects:
    """What each site would add to consistency if its samples followed the image.

    Attributes:
        spec: what gives these numbers again, by `measuring.measure`.
        sites: those that are switched as one, for each row of the effects.
        effects: on the consistency of each image.
    """

    spec: str
    sites: tuple[tuple[Site, ...], ...]
    effects: Effects


def sampling_effects(
    function: Callable,
    *args,
    shift: str = SHIFT,
    permutations: int | None = None,
    seed: int | None = None,
    batch_size: int = 256,
) -> SamplingEffects:
    """What each site of `function(*args)` costs in consistency, by taking it away.

    `sampling_effects(model.apply, variables, images)` for a Flax module. At a site the
    function's own operator runs at stride 1, and which of its entries are kept is
    chosen by what they are (`adaptive_polyphase`); no weight and no other site changes.
    So what a site adds is what its fixed lattice of samples costs: alone, and by
    Shapley among the others (see `effects`). What stays lost with all of them is of
    another cause, the boundary or the head.

    Args:
        function: a `Following` is taken as it is, so that nets of one architecture
            share a program.
        args: the last one is the images.
        shift: the spec of the shifts between which classes should agree; those by less
            than the network's stride tell what lies within its lattice.
        permutations, seed: as in `effects`, for more than 8 sites.

    Raises:
        ValueError: no site, and as in `Following`, `consistency` and `effects`.
        TypeError: JAX cannot trace `function`, or images of integers.
    """
    *others, images = args
    images = floating(checked_images(images))
    if not isinstance(function, Following):
        some = min(batch_size, len(images)), *images.shape[1:]
        dtype = jax.dtypes.canonicalize_dtype(images.dtype)
        function = Following(function, *others, jax.ShapeDtypeStruct(some, dtype))
    if not function.sites:
        raise ValueError("no site of the function could take samples that follow")
    places = range(len(function.sites))

    def score(chosen):
        switches = [place in chosen for place in places]
        return consistency(
            lambda images: function(switches, *others, images),
            images,
            shift,
            batch_size=batch_size,
        ).agreement

    found = effects(score, places, permutations=permutations, seed=seed)
    options = {}
    if found.standard_error is not None:
        options = {"permutations": permutations, "seed": seed}
    spec = spec_of("sampling_effects", shift=str(shift), **options)
    return SamplingEffects(spec, function.sites, found)
