"""What subsampling folds onto lower frequencies, place by place in a network."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from cnnlab.diagnostics import per_image
from cnnlab.diagnostics.folding import Site, measure_of, sites_of
from cnnlab.diagnostics.over_images import over_images
from cnnlab.diagnostics.per_image import PerImage
from cnnlab.diagnostics.places import Place
from cnnlab.diagnostics.specs import spec_of
from cnnlab.diagnostics.waves import FILTERABLE
from cnnlab.statistics.intervals import Interval
from cnnlab.text_table import aligned, written

# Of the output's energy; what an operation gives in another lowering differs by less.
_SAME = 1e-4


@dataclasses.dataclass(frozen=True)
class Row:
    """One place where maps are thinned.

    Attributes:
        path: the Flax modules that the operation is called in.
        operation: its name.
        strides: how many entries it keeps one of, down and across.
        input_shape, output_shape: for one image.
        stride: of its input, in pixels.
        above: of each image, the share of energy above the new Nyquist frequency in the
            dense map that is sampled; None where there is no such map to be had.
        folded: of each image, the share of aliases in the output's energy.
    """

    path: tuple[str, ...]
    operation: str
    strides: tuple[int, int]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    stride: tuple[float, float]
    above: PerImage | None
    folded: PerImage | None

    def interval(self, share: str, confidence: float = 0.95) -> Interval | None:
        """Student's interval of the mean over images; None without finite shares.

        Args:
            share: "above" or "folded".
        """
        return per_image.interval_of(getattr(self, share), confidence)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "path": "/".join(self.path),
            "operation": self.operation,
            "strides": list(self.strides),
            "input_shape": list(self.input_shape),
            "output_shape": list(self.output_shape),
            "stride": list(self.stride),
            **{
                share: per_image.as_json("shares", getattr(self, share))
                for share in ("above", "folded")
            },
        }


@dataclasses.dataclass(frozen=True)
class Aliasing:
    """The places where maps are thinned, in the order in which they run.

    Attributes:
        spec: what gives these numbers again, by `measuring.measure`.
    """

    spec: str
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {"spec": self.spec, "rows": [row.as_json() for row in self.rows]}

    def table(self) -> str:
        """A line for each place: where, what, its strides, and both shares."""
        lines = [("where", "operation", "strides", "above", "folded")]
        for row in self.rows:
            lines.append(
                (
                    "/".join(row.path),
                    row.operation,
                    "x".join(map(str, row.strides)),
                    written(row.interval("above")),
                    written(row.interval("folded")),
                )
            )
        return "\n".join(aligned(lines))

    def __str__(self) -> str:
        return f"{self.spec}\n{self.table()}"


def meter(
    function: Callable,
    *args,
    image: int = -1,
    boundary: str = "circular",
    batch_size: int = 32,
) -> Aliasing:
    """The energy that each subsampling in `function(*args)` cannot keep, and folds.

    `meter(model.apply, variables, images)` for a Flax module, and so on for anything
    that JAX can trace. With d the dense map that strides s sample (what the operation
    gives at strides 1), less its mean over each channel, P the projection on waves of
    fewer than 1 / (2 s) cycles per entry along both axes, and y the samples of d,

        above = |d - P d|^2 / |d|^2
        folded = |y - samples of P d|^2 / (|y - samples of P d|^2 + |samples of P d|^2)

    summed over all entries and channels of an image: of the energy that is about to be
    sampled the share that the samples cannot hold, and of the samples' energy the share
    that is aliases. Both are 0 to 1, and 0 for a constant map. White noise has 1 - 1 /
    s^2 above; all of a single wave above the new Nyquist frequency is folded. Means,
    which no motion changes, do not count.

    Found are the strides of cnnlab's operators and of JAX's convolutions, windows and
    slices; what reads its samples in another way (adaptive sizes, gathers, reshapes) is
    not. Operators that choose their samples are measured at those they chose. An
    operation has None for both shares where its samples are not those of a dense map:
    it resamples (`spectral_pool`), learns or draws where, gives more than the
    samples, or has an option that cannot be read back from its name (a function).

    Args:
        image: which of `args` the images are, `[examples, height, width, channels]`.
        boundary: what the waves are: "circular", of a torus, or "mirror", cosines,
            which make no jump of opposite borders that differ. A dense map from
            padding has its own border, and is taken as it is.
        batch_size: of the images that are in memory at once.

    Raises:
        TypeError: a function that JAX cannot trace, or images that are no array of a
            floating-point dtype.
        ValueError: images not [examples, height, width, channels] or not finite, or an
            unknown boundary.

    Source: Zhang, 2019, "Making convolutional networks shift-invariant again",
    https://arxiv.org/abs/1904.11486, for subsampling as a dense operator that is then
    sampled; the shares are ours.
    """
    if boundary not in FILTERABLE:
        raise ValueError(
            f"boundary {boundary!r} must be one of {', '.join(FILTERABLE)}"
        )
    with jax.default_matmul_precision("highest"):
        over = over_images(function, args, image, batch_size)
        sites = sites_of(over)
        found = over.measured(measure_of(over, sites, boundary))
    rows = tuple(_row(site, index, found) for index, site in enumerate(sites))
    spec = spec_of("aliasing", boundary=boundary, **over.named_image)
    return Aliasing(spec, rows)


def _row(site: Site, index: int, found) -> Row:
    known = (index, "off") in found and found[index, "off"].max() < _SAME
    operation = site.operation
    return Row(
        operation.path,
        operation.name,
        site.strides,
        _of_one(operation.inputs[0].shape, site.before),
        _of_one(operation.outputs[0].shape, site.after),
        tuple(map(float, site.before.stride)),
        found[index, "above"] if known else None,
        found[index, "folded"] if known else None,
    )


def _of_one(shape, place: Place | None) -> tuple[int, ...]:
    batch = 0 if place is None else place.batch
    return shape[:batch] + shape[batch + 1 :]
