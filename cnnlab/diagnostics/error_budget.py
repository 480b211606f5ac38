"""How much of a net's change under shifts is aliasing, boundary, and head."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Num

from cnnlab.diagnostics.predictions import Images, Logits, Predict, checked_images
from cnnlab.diagnostics.roll_variances import Net, Variances, variances
from cnnlab.diagnostics.specs import spec_of
from cnnlab.ops.arguments import check_choice, check_count, check_integer
from cnnlab.statistics.intervals import Interval, mean_interval

Maps = Num[np.ndarray, "examples rows columns channels"]
Halves = tuple[Callable[[Images], Maps], Callable[[Maps], Logits]]
# Of float32, squared, after the many sums of a deep net.
_ROUNDING = 1e-10


@dataclasses.dataclass(frozen=True, eq=False)
class Budget:
    """The variance of a net's outputs over shifts, by cause; causes sum to the total.

    Attributes:
        spec: what gives these numbers again, by `measuring.measure`.
        power: the sum of squares of each image's outputs, unmoved.
        total, aliasing, boundary, head: variances of each image, in squares of the
            outputs' unit. `boundary` and `head` are covariances, and below 0 where one
            undoes the other; they are None where they could not be told apart, for
            which `boundary_and_head` stands.
    """

    spec: str
    power: Variances
    total: Variances
    aliasing: Variances
    boundary: Variances | None
    head: Variances | None

    @property
    def boundary_and_head(self) -> Variances:
        """What is left of the total without aliasing."""
        return self.total - self.aliasing

    @property
    def shares(self) -> dict[str, Interval] | None:
        """Each cause's share of the mean variance; None where rounding alone changes.

        That is where the total is below 1e-10 of the outputs' squares.

        Keys are "aliasing", "boundary" and "head", or "aliasing" and "boundary and
        head" for a net that was given as one function. Intervals are over images, of
        the ratio of two means, linearised.
        """
        if self.total.mean() <= _ROUNDING * self.power.mean():
            return None
        causes = {"boundary": self.boundary, "head": self.head}
        if self.head is None:
            causes = {"boundary and head": self.boundary_and_head}
        return {
            cause: _ratio(variances, self.total)
            for cause, variances in {"aliasing": self.aliasing, **causes}.items()
        }


def error_budget(
    predict: Predict | Halves,
    images: Images,
    *,
    stride: int | tuple[int, int] = 1,
    multiples: Sequence[int] | None = None,
    outputs: str = "probabilities",
    batch_size: int = 256,
) -> Budget:
    """The causes of what changes when images roll.

    An image x rolls by p + s m, every phase p in 0..s - 1 with every lattice point m,
    along both axes, s being the stride. The total is the variance of the outputs f over
    all these rolls, summed over classes. By the law of total variance it is exactly

        Var over p (mean over m of f) + mean over p (Var over m of f).

    The first is *aliasing*: what depends on where the sampling lattice lies, 0 for
    s = 1. Within a phase the lattice moves with the image, and features that keep up
    with it would move by m entries. With A_m = head(features(x rolled by p + s m)) and
    B_m = head(features(x rolled by p) rolled by m), what such features would give,

        Var(A) = Cov(A, B) + Cov(A, A - B):

    the *head* reads position even off features that move as they should, the
    *boundary* makes them move otherwise. What of those two goes with the phase, in a
    net that has a stride, counts as aliasing. Maps roll over their own edges: those
    that are cut at each layer, without padding, wrap elsewhere than the images do,
    which counts as the boundary's.

    Args:
        predict: from images to logits; or the pair (features, head) of which it is
            made, from images to maps [examples, rows, columns, channels] and from maps
            to logits, without which boundary and head stay one number.
        stride: of the last map, in pixels; (down, to the right) where they differ. One
            that is too small counts its aliasing among the others.
        multiples: the m along each axis, 0 among them; None is all, for which the
            stride has to divide the images. Each image is then seen at as many rolls
            as it has pixels.
        outputs: "probabilities" or "logits".

    Raises:
        ValueError: images that are not NHWC or not finite; multiples without 0, more
            than once or as far as the images' size; a stride that does not divide them
            where all are wanted; a predict that gives no logits, maps that are none, or
            either of them changing between calls.
        TypeError: images that are no array, or more than a pair of functions.
    """
    images = checked_images(images)
    strides = _strides(stride)
    check_choice("outputs", outputs, ("probabilities", "logits"))
    check_count("batch_size", batch_size)
    lattice = _lattice(multiples, strides, images.shape[1:3])
    net = Net(predict, outputs, images[:batch_size])
    batches = (
        images[start : start + batch_size]
        for start in range(0, len(images), batch_size)
    )
    parts = [variances(net, batch, strides, lattice) for batch in batches]
    power, total, aliasing, head = map(np.concatenate, zip(*parts, strict=True))
    boundary = total - aliasing - head
    if net.features is None:
        boundary = head = None
    options = {
        "stride": strides[0] if strides[0] == strides[1] else strides,
        "multiples": None if multiples is None else tuple(map(int, multiples)),
        "outputs": outputs,
    }
    spec = spec_of("error_budget", **options)
    return Budget(spec, power, total, aliasing, boundary, head)


def _ratio(part, whole):
    """The ratio of the means, and its interval over images."""
    ratio = part.mean() / whole.mean()
    return mean_interval(ratio + (part - ratio * whole) / whole.mean())


def _strides(stride):
    strides = (stride,) * 2 if np.ndim(stride) == 0 else tuple(stride)
    if len(strides) != 2:
        raise ValueError(f"stride takes one or two integers, got {stride!r}")
    for each in strides:
        check_count("stride", each)
    return tuple(map(int, strides))


def _lattice(multiples, strides, size):
    """The multiples of the stride along each axis."""
    height, width = size
    if multiples is None:
        if any(side % s for side, s in zip(size, strides, strict=True)):
            raise ValueError(
                f"stride {strides} does not divide images {height}x{width}: name the "
                "multiples to roll by, such as (-1, 0, 1)"
            )
        return [range(side // s) for side, s in zip(size, strides, strict=True)]
    multiples = tuple(multiples)
    for multiple in multiples:
        check_integer("multiples", multiple)
    if 0 not in multiples or len(set(multiples)) < len(multiples):
        raise ValueError(f"multiples must hold 0, and each once, got {multiples}")
    for side, s in zip(size, strides, strict=True):
        span = (max(multiples) - min(multiples)) * s + s - 1
        if span >= side:
            raise ValueError(
                f"multiples {multiples} of stride {s} roll images {height}x{width} by "
                f"{span} pixels, all around: the largest roll is {side - 1}"
            )
    return multiples, multiples
