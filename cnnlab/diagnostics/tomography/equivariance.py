"""Equivariance errors along motions of the image: Lie derivatives, no finite step."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from cnnlab.diagnostics.operation import Operation
from cnnlab.diagnostics.over_images import OverImages, over_images
from cnnlab.diagnostics.specs import spec_of
from cnnlab.diagnostics.tomography.generators import (
    checked_centre,
    checked_transformations,
    motions_of,
)
from cnnlab.diagnostics.tomography.lie import Site, measure_of
from cnnlab.diagnostics.tomography.results import Row, Tomography


def equivariance_error(
    function: Callable,
    *args,
    image: int = -1,
    transformations: Sequence[str] = ("translation", "rotation", "scale"),
    boundary: str | None = None,
    centre: Sequence[float] | None = None,
    only: Callable[[Operation], bool] | None = None,
    batch_size: int = 32,
) -> Tomography:
    """By how much each operation of `function(*args)` fails to move with the images.

    `equivariance_error(model.apply, variables, images)` for a Flax module, and so on
    for anything that JAX can trace.

    For a value y of the images x, with J its derivative, G the generator of the motion
    on images and G_y on maps laid out as y is (by its stride and phase in pixels, see
    `generators`), the Lie derivative and the error are

        L y = J G x - G_y y
        error = |L y|^2 / (|J G x|^2 + |G_y y|^2)

    summed over the entries of one image, and over the motions of a transformation (two
    for "translation"). It is 0 where y moves exactly as x does, 1 where what y does and
    what it should do are uncorrelated, 2 where they are opposite, and 0 where neither
    moves by more than rounding. A value whose entries have no place (after a global
    pool, flattened) should not move at all; its error is its squared rate of change

        error = |J G x|^2 / |y|^2    per pixel^2, radian^2 or (factor of e)^2

    which has no upper bound: `Row.kind` tells the two apart. Each is given twice:

    - cumulative: x is moved, and J is of all the operations up to y.
    - own: what the operation is given is moved exactly (by its own G; not at all where
      it has no place), and J is of that operation. A place that the operation takes
      away, as flattening does, is its own error.

    What holds no floating-point numbers is held still. Loops and branches are one
    operation, calls are not: those of `jax.jit` and custom derivatives are opened.
    Every row costs as much as its operation 1 + 2 motions times, in one pass over the
    program; nothing is kept but the errors.

    Args:
        image: which of `args` the images are, `[examples, height, width, channels]`.
        transformations: of `TRANSFORMATIONS`.
        boundary: what lies beyond images and maps for their derivatives: "circular" (a
            torus, Fourier series), "mirror" (cosine series) or "edge" (differences of
            neighbours, coarser on coarser maps: subsampling is then an error even of
            slow waves). None is "circular" for translations, which a torus can do, and
            else "mirror".
        centre: of rotation and scale, (y, x) in pixels; None is the image's middle.
        only: which operations get a row; None is all.
        batch_size: of the images that are in memory at once.

    Raises:
        TypeError: a function that JAX cannot trace, or images that are no array of a
            floating-point dtype.
        ValueError: images not [examples, height, width, channels] or not finite, an
            unknown transformation or boundary, or a centre that is not two numbers.

    Source: Gruver, Finzi, Goldblum and Wilson, 2023, "The Lie derivative for measuring
    learned equivariance", https://arxiv.org/abs/2210.02984. Theirs is |L y|^2 per
    entry of the output, and a module's share is its own error carried on to the
    output; here it is per operation of any function, relative, and not carried on.
    """
    names = checked_transformations(transformations)
    motions = {name: motions_of(name, boundary) for name in names}
    # Differences of what is nearly equal need all of float32.
    with jax.default_matmul_precision("highest"):
        over = over_images(function, args, image, batch_size)
        centre = checked_centre(centre, over.images.shape[1:3])
        sites = _sites(over, only)
        errors = over.measured(measure_of(over, sites, motions, centre))
    rows = (
        Row(
            name,
            site.operation.path,
            site.name,
            _of_one_image(site),
            site.place,
            errors.get((name, index, "cumulative")),
            errors.get((name, index, "own")),
        )
        for name in names
        for index, site in enumerate(sites)
    )
    options = dict(transformations=names, boundary=boundary, centre=centre)
    spec = spec_of("equivariance_error", **options, **over.named_image)
    return Tomography(spec, tuple(rows))


def _sites(over: OverImages, only) -> list[Site]:
    return [
        Site(operation, position, over.places[value])
        for operation in over.program.operations
        if only is None or only(operation)
        for position, value in enumerate(operation.outputs)
        if value in over.places
        and position not in operation.unneeded
        and jnp.issubdtype(value.dtype, jnp.floating)
    ]


def _of_one_image(site: Site) -> tuple[int, ...]:
    shape = site.operation.outputs[site.output].shape
    batch = None if site.place is None else site.place.batch
    return tuple(size for axis, size in enumerate(shape) if axis != batch)
